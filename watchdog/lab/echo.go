package lab

import (
	"context"
	"sync"
	"time"
)

// echoer sends numbered echo requests and receives the answers.
type echoer interface {
	send(seq uint32) error
	// receive returns the number of the next answer and when it arrived, by
	// the wall clock. It fails once the echoer is closed.
	receive() (seq uint32, arrived time.Time, err error)
	close() error
}

// Pinger is a running series of echo requests.
type Pinger struct {
	begin    time.Time
	interval time.Duration
	timeout  time.Duration
	count    int // 0: until cancelled
	cancel   context.CancelFunc
	done     chan struct{}

	mu       sync.Mutex
	requests []request
	open     int // requests not answered yet
}

type request struct {
	sent     time.Time
	rtt      time.Duration
	answered bool
}

// run sends until ctx ends or the count is reached, waits for the answers that
// are still due unless the lab ends too, and returns when both directions are
// quiet.
func (p *Pinger) run(ctx, lab context.Context, e echoer) {
	defer close(p.done)
	received, sent := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(received)
		p.receive(e)
	}()
	go func() {
		defer close(sent)
		runFirst()
		p.send(ctx, e)
	}()
	<-sent
	p.awaitAnswers(lab)
	e.close()
	<-received
}

func (p *Pinger) send(ctx context.Context, e echoer) {
	next := time.Now()
	for n := 0; p.count == 0 || n < p.count; n++ {
		p.mu.Lock()
		p.requests = append(p.requests, request{sent: time.Now()})
		p.open++
		p.mu.Unlock()
		// A request that could not be sent is never answered: it is lost, as
		// it is for an administrator.
		_ = e.send(uint32(n))
		if next = next.Add(p.interval); next.Before(time.Now()) {
			next = time.Now() // what was missed is not made up for in a burst
		}
		if !restUntil(ctx, next) {
			return
		}
	}
}

func (p *Pinger) receive(e echoer) {
	for {
		seq, arrived, err := e.receive()
		if err != nil {
			return
		}
		p.answer(seq, arrived, time.Now())
	}
}

// answer notes one answer. The kernel's time of arrival spares the sample the
// wait for this process to be scheduled; it is by the wall clock, so it only
// counts if it is plausible next to the monotonic one.
func (p *Pinger) answer(seq uint32, arrived, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(seq) >= len(p.requests) || p.requests[seq].answered {
		return
	}
	r := &p.requests[seq]
	r.answered, r.rtt = true, now.Sub(r.sent)
	if rtt := arrived.Sub(r.sent.Round(0)); rtt > 0 && rtt < r.rtt {
		r.rtt = rtt
	}
	p.open--
}

func (p *Pinger) awaitAnswers(lab context.Context) {
	deadline := time.Now().Add(p.timeout)
	for lab.Err() == nil && time.Now().Before(deadline) {
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		if open == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// Begin returns the moment from which the samples' times count.
func (p *Pinger) Begin() time.Time { return p.begin }

// Samples returns what is known by now: answered requests, and as lost those
// that have waited longer than the timeout. Younger ones are left out.
func (p *Pinger) Samples() Series {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	s := make(Series, 0, len(p.requests))
	for _, r := range p.requests {
		v := Sample{At: r.sent.Sub(p.begin), RTT: r.rtt}
		v.Lost = !r.answered && now.Sub(r.sent) >= p.timeout || r.rtt > p.timeout
		if r.answered || v.Lost {
			s = append(s, v)
		}
	}
	return s
}

// Stop ends the sending, waits for the answers that are still due and returns
// the whole series.
func (p *Pinger) Stop() Series {
	p.cancel()
	return p.Wait()
}

// Wait returns the whole series once the count is reached or the pinger's
// context has ended, and the last answers are in or have timed out.
func (p *Pinger) Wait() Series {
	<-p.done
	p.cancel()
	return p.Samples()
}
