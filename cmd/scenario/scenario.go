// Package scenario re-enacts the incident in a lab: transfers fill the
// bottleneck while an administrator's round-trip time is measured, without
// Lifeline or with it. The demo, the benchmarks and the end-to-end tests share
// it.
package scenario

import (
	"context"
	"fmt"
	"time"

	"lifeline/watchdog/lab"
)

// Case is one run.
type Case struct {
	Lab       lab.Options
	Transfers lab.Transfers
	Bwlimit   int           // rsync's --bwlimit, KiB/s; 0 is none
	Daemon    *Daemon       // nil: without Lifeline
	Settle    time.Duration // from the transfers' start to the measurement
	Measure   time.Duration // length of the measurement
	// Live is called about five times a second while the transfers run.
	Live func(Moment)
}

// Moment is what a spectator sees.
type Moment struct {
	At      time.Duration // since the transfers started
	RTT     time.Duration // median of the last second; lab.Never when nothing was answered
	Lost    bool          // the last request that is due was not answered
	Goodput float64       // bits/s over the last moment
}

// Result is what a run showed.
type Result struct {
	P50, P99 time.Duration // of RTT during the measurement
	Loss     float64       // ratio 0..1 during the measurement
	Goodput  float64       // bits/s at the client's link during the measurement
	Peak     time.Duration // longest RTT from the transfers' start to the end
	Calm     time.Duration // until the median of every following 500 ms window is below 10 ms
	Calmed   bool          // Calm was reached
	Usage    Usage         // of the daemon and its guard; zero without them
}

// CalmBelow is the RTT that counts as calm.
const CalmBelow = 10 * time.Millisecond

// ease is the time before the transfers start: the daemon learns the base RTT.
const ease = 3 * time.Second

// Run runs one case in a lab of its own.
func Run(ctx context.Context, c Case) (r Result, err error) {
	l, err := lab.New(ctx, c.Lab)
	if err != nil {
		return r, err
	}
	defer func() {
		if e := l.Close(); err == nil {
			err = e
		}
	}()
	if _, err := l.SourceDir(); err != nil {
		return r, err
	}
	admin, err := l.AdminSession(ctx)
	if err != nil {
		return r, fmt.Errorf("administrator's session: %w", err)
	}
	defer admin.Close()
	var d *Running
	if c.Daemon != nil {
		if d, err = c.Daemon.Start(ctx, l); err != nil {
			return r, err
		}
		defer d.Stop()
	}
	return c.measure(ctx, l, d)
}

// measure starts the transfers and watches.
func (c Case) measure(ctx context.Context, l *lab.Lab, d *Running) (r Result, err error) {
	ping, err := l.Ping(ctx, lab.Ping{})
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, ease); err != nil {
		return r, err
	}
	ts := c.Transfers
	if c.Bwlimit > 0 {
		ts.Args = append(ts.Args, fmt.Sprintf("--bwlimit=%d", c.Bwlimit))
	}
	started := time.Now()
	batch, err := l.Start(ctx, ts)
	if err != nil {
		return r, err
	}
	defer batch.Stop()
	w := watch{Case: c, lab: l, ping: ping, started: started}
	if err := w.until(ctx, c.Settle); err != nil {
		return r, err
	}
	a, err := l.Cli.Counters("eth0")
	if err != nil {
		return r, err
	}
	ps, err := d.processes()
	if err != nil {
		return r, err
	}
	before, err := ps.usage()
	if err != nil {
		return r, err
	}
	from := time.Since(started)
	if err := w.until(ctx, c.Settle+c.Measure); err != nil {
		return r, err
	}
	to := time.Since(started)
	b, err := l.Cli.Counters("eth0")
	if err != nil {
		return r, err
	}
	after, err := ps.usage()
	if err != nil {
		return r, err
	}
	for _, t := range batch {
		select {
		case <-t.Done():
			return r, fmt.Errorf("a transfer ended during the measurement: %s", t.Stderr())
		default:
		}
	}
	r = summarise(ping.Stop(), started.Sub(ping.Begin()), from, to)
	r.Goodput = lab.GoodputBetween(a, b).Of(c.Transfers.Dir)
	r.Usage = after.since(before)
	return r, nil
}

// summarise reads the figures off the series; start is when the transfers
// started, from and to bound the measurement after that.
func summarise(s lab.Series, start, from, to time.Duration) Result {
	m := s.Between(start+from, start+to)
	r := Result{P50: m.Percentile(50), P99: m.Percentile(99), Loss: m.Loss(), Peak: s.Between(start, start+to).Max()}
	r.Calm, r.Calmed = s.Between(0, start+to).TimeToCalm(start, CalmBelow)
	return r
}

// watch shows the run to a spectator.
type watch struct {
	Case
	lab     *lab.Lab
	ping    *lab.Pinger
	started time.Time
	last    lab.Counters
}

const liveEvery = 200 * time.Millisecond

// until watches until that long after the transfers' start.
func (w *watch) until(ctx context.Context, at time.Duration) error {
	for {
		left := at - time.Since(w.started)
		if left <= 0 {
			return nil
		}
		if err := sleep(ctx, min(left, liveEvery)); err != nil {
			return err
		}
		if w.Live != nil {
			if err := w.show(); err != nil {
				return err
			}
		}
	}
}

func (w *watch) show() error {
	now, err := w.lab.Cli.Counters("eth0")
	if err != nil {
		return err
	}
	m := Moment{At: time.Since(w.started), RTT: lab.Never}
	if !w.last.At.IsZero() {
		m.Goodput = lab.GoodputBetween(w.last, now).Of(w.Transfers.Dir)
	}
	w.last = now
	s := w.ping.Samples()
	at := time.Since(w.ping.Begin())
	if recent := s.Between(at-time.Second, at); len(recent) > 0 {
		m.RTT = recent.Percentile(50)
		m.Lost = recent[len(recent)-1].Lost
	}
	w.Live(m)
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
