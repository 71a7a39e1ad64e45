package control

import (
	"math"
	"time"
)

const mss = 1448.0

// sender is how a TCP reacts.
type sender uint8

// String names it.
func (k sender) String() string { return [...]string{"cubic", "bbr", "constant"}[k] }

const (
	cubic sender = iota
	bbr
	constant // no TCP: sends at app whatever happens
)

// transfer is one connection: its sender, its receiver and the way back.
// Bytes are wire bytes throughout.
type transfer struct {
	id     string
	kind   sender
	theirs bool    // not rsync: neither seen nor limited by the controller
	rtt    float64 // s, of the empty path
	app    float64 // bytes/s that the application has; 0 for as much as possible
	born   float64 // s
	size   float64 // bytes; 0 for endless
	dies   float64 // s; 0 for never
	floor  int64
	burst  float64 // bytes that it sends at once however it is paced; 0 for a fluid
	shook  float64 // s, queue that the handshake met: a receiver's own RTT never loses it

	alive     bool
	limit     FlowLimit
	next      float64 // s, when the next burst may go
	backlog   float64 // bytes that the application offered
	sent      float64 // cumulative bytes, retransmissions not counted
	acked     float64
	delivered float64
	edge      float64 // right edge of the offered window, at the receiver
	edgeSeen  float64 // and as the sender knows it
	auto      float64 // autotuned receive window
	line      []ack   // on the way back
	lineHead  int
	srtt      float64

	cwnd, ssthresh   float64
	wmax, epoch      float64
	recovered        float64 // s, no second reaction to loss before
	bw, bwMark       float64 // bbr: bandwidth estimate, and when it was last raised
	round            float64 // bbr: start of the round
	roundAcked, full float64
	stalls           int
	phase            int

	rates [11]float64 // delivered at the last ten marks, for the mean over a second
	marks int
}

type ack struct{ delivered, edge float64 }

func (t *transfer) start(now, dt float64) {
	t.alive = true
	t.cwnd, t.ssthresh = 10*mss, math.Inf(1)
	t.auto = 64 << 10
	t.edge, t.edgeSeen = t.auto, t.auto
	t.line = make([]ack, max(1, int(math.Round(t.rtt/dt))))
	for i := range t.line {
		t.line[i].edge = t.edge
	}
	t.srtt = t.rtt
	t.round = now
	for i := range t.rates {
		t.rates[i] = 0
	}
}

// offer is how many bytes it sends in this step, at most most.
func (t *transfer) offer(now, dt, most float64) float64 {
	if !t.alive {
		return 0
	}
	if t.kind == constant {
		return t.app * dt
	}
	if t.limit.Pause && !t.theirs {
		return t.offerPaused()
	}
	room := min(most, t.cwnd-(t.sent-t.acked), t.edgeSeen-t.sent)
	if t.app > 0 {
		t.backlog = min(t.backlog+t.app*dt, 4<<20)
		room = min(room, t.backlog)
	}
	pace := math.Inf(1)
	if t.limit.Pacing > 0 {
		pace = t.limit.Pacing * wire
	}
	if t.kind == bbr && t.bw > 0 {
		pace = min(pace, t.gain()*t.bw)
	}
	if t.limit.Pacing > 0 && t.burst > 0 {
		room = t.offerBurst(now, pace, room)
	} else {
		room = min(room, pace*dt)
	}
	room = max(room, 0)
	t.backlog -= room
	t.sent += room
	return room
}

// offerBurst sends up to a burst at once and then waits for as long as that takes
// at the rate, as the kernel does on short paths.
func (t *transfer) offerBurst(now, rate, room float64) float64 {
	if now < t.next {
		return 0
	}
	room = max(0, min(room, t.burst))
	t.next = now + room/rate
	return room
}

// offerPaused sends what the window of a stopped receiver still allows; a
// stopped sender is silent.
func (t *transfer) offerPaused() float64 {
	if t.limit.Window == 0 {
		return 0
	}
	room := max(0, min(t.cwnd-(t.sent-t.acked), t.edgeSeen-t.sent))
	t.sent += room
	return room
}

// receive takes what arrived and sends the acknowledgement back.
func (t *transfer) receive(bytes, delay, now, dt float64) {
	if !t.alive || t.kind == constant {
		return
	}
	t.delivered += bytes
	window := t.window()
	if !t.limit.Pause || t.theirs {
		t.edge = max(t.edge, t.delivered+window)
	}
	a := &t.line[t.lineHead]
	back := *a
	*a = ack{t.delivered, t.edge}
	t.lineHead = (t.lineHead + 1) % len(t.line)
	t.edgeSeen = max(t.edgeSeen, back.edge)
	if news := back.delivered - t.acked; news > 0 {
		t.acked = back.delivered
		t.srtt += (t.rtt + delay - t.srtt) * (1 - math.Pow(7./8, news/(2*mss))) // RFC 6298, an acknowledgement for two
		t.grow(news, now, dt)
	}
}

func (t *transfer) window() float64 {
	if w := t.limit.Window; w > 0 && !t.theirs {
		return float64(w) * wire
	}
	t.auto = clamp(2*t.cwnd, t.auto, 64<<20) // as autotuning does: twice what came in an RTT
	return t.auto
}

// gain is bbr's pacing gain.
func (t *transfer) gain() float64 {
	switch {
	case t.stalls < 3:
		return 2.77
	case t.phase == 0:
		return 1.25
	case t.phase == 1:
		return 0.75
	}
	return 1
}

func (t *transfer) grow(news, now, dt float64) {
	if t.kind == bbr {
		t.growBBR(news, now)
		return
	}
	if t.sent-t.acked+news < 0.7*t.cwnd { // not what limits it
		return
	}
	if t.cwnd < t.ssthresh {
		t.cwnd += news
		if t.srtt > t.rtt+max(0.004, t.rtt/8) {
			t.ssthresh = t.cwnd
			t.wmax, t.epoch = t.cwnd, now
		}
		return
	}
	k := math.Cbrt(t.wmax / mss * 0.3 / 0.4)
	x := now - t.epoch - k
	want := t.wmax + 0.4*x*x*x*mss
	t.cwnd += 0.53 * mss * news / t.cwnd
	if want > t.cwnd {
		t.cwnd += min(want-t.cwnd, 0.5*news)
	}
}

func (t *transfer) growBBR(news, now float64) {
	t.roundAcked += news
	if now-t.round < max(t.srtt, 2e-3) {
		return
	}
	rate := t.roundAcked / (now - t.round)
	if rate > 1.25*t.full {
		t.full, t.stalls = rate, 0
	} else if t.stalls < 3 {
		t.stalls++
	}
	if rate >= t.bw || now-t.bwMark > 10*max(t.srtt, 2e-3) {
		t.bw, t.bwMark = rate, now
	}
	t.phase = (t.phase + 1) % 8
	t.round, t.roundAcked = now, 0
	t.cwnd = max(4*mss, 2*t.bw*max(t.rtt, 2e-3))
}

// lose takes a loss of bytes: they are sent again.
func (t *transfer) lose(bytes, now float64) {
	if t.kind == constant {
		return
	}
	t.sent -= bytes
	if t.app > 0 {
		t.backlog += bytes
	}
	if t.kind == bbr || now < t.recovered {
		return
	}
	t.wmax, t.epoch = t.cwnd, now
	t.cwnd = max(2*mss, 0.7*t.cwnd)
	t.ssthresh = t.cwnd
	t.recovered = now + t.srtt
}

// mark is called every 100 ms; rate is the mean of the last second, of payload.
func (t *transfer) mark() {
	copy(t.rates[1:], t.rates[:10])
	t.rates[0] = t.delivered
	t.marks++
}

func (t *transfer) rate() float64 {
	n := min(10, t.marks-1)
	if n < 1 {
		return 0
	}
	return (t.rates[0] - t.rates[n]) / (float64(n) * 0.1) / wire
}

func (t *transfer) flow(now float64) Flow {
	left := int64(-1)
	if t.size > 0 {
		left = int64(t.size - t.delivered)
	}
	return Flow{
		ID: t.id, Rate: t.rate(), Bytes: uint64(t.delivered / wire), Remaining: left, Floor: t.floor,
		Inflight: int64(max(0, t.sent-t.acked) / wire),
		Age:      time.Duration((now - t.born) * 1e9), RTT: time.Duration(t.srtt * 1e9), MinRTT: time.Duration((t.rtt + t.shook) * 1e9),
		Limitable: true, Pausable: true, Shaped: t.limit.Shape, Stopped: t.limit.Pause,
	}
}
