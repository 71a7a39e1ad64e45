package scenario

import (
	"context"
	"fmt"
	"time"

	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// Case is one run.
type Case struct {
	Lab       lab.Options
	Transfers lab.Transfers
	Bwlimit   int           // rsync's --bwlimit, KiB/s; 0 is none
	Daemon    *Daemon       // nil: without Lifeline
	Settle    time.Duration // from the transfers' start to the measurement
	Measure   time.Duration // length of the measurement
	// NobodyLoggedIn leaves out the administrator's session. The lab should have
	// a gateway then, as the daemon has no other target. He pings all the same.
	NobodyLoggedIn bool
	// Ask is called about five times a second while the transfers run with what
	// the daemon says of itself, which costs the daemon as much as a cycle; with nil
	// nobody asks.
	Ask func(at time.Duration, st web.Status)
	// Live is called about five times a second while the transfers run.
	Live func(Moment)
}

// Moment is what a spectator sees.
type Moment struct {
	At      time.Duration // since the transfers started
	RTT     time.Duration // median of the last second; lab.Never when nothing was answered
	Lost    bool          // the last request that is due was not answered
	Goodput float64       // bits/s of TCP payload that arrived since the last moment
}

// Result is what a run showed.
type Result struct {
	P50, P99 time.Duration // of RTT during the measurement
	Loss     float64       // ratio 0..1 during the measurement
	Goodput  float64       // bits/s of TCP payload at the receiver's link during the measurement
	Lowest   float64       // bits/s, likewise, of the worst LowestWindow within the measurement; 0 if that is shorter
	Peak     time.Duration // longest RTT from the transfers' start to the end
	Calm     time.Duration // until the median of every following 500 ms window is below 10 ms
	Calmed   bool          // Calm was reached
	Usage    Usage         // of the daemon and its guard; zero without them
	ForGood
	RTT    lab.Series // from the transfers' start, At too
	Status web.Status // of the daemon at the end; zero without one
	Log    string     // of the daemon
}

// ForGood is what single requests from the transfers' start to the end say: each
// that took GoodBelow or longer, or was lost, counts.
type ForGood struct {
	After    time.Duration // the sending of the first request since which all were below
	Reached  bool          // the last request of the run was below
	Relapses int           // requests after Grace that were not below
	Last     time.Duration // the sending of the last one that was not below; 0 without any
	Lost     int           // requests, from the start
}

// LowestWindow is the span of Result.Lowest.
const LowestWindow = 5 * time.Second

// CalmBelow is the RTT that counts as calm.
const CalmBelow = 10 * time.Millisecond

// GoodBelow is what no request may take once a link is held for good, and Grace the
// time from the transfers' start in which one may.
const (
	GoodBelow = 20 * time.Millisecond
	Grace     = time.Second
)

// ease is the time before the transfers start: the daemon learns the base RTT.
const ease = 3 * time.Second

// lead is the time from the daemon's start to that of the transfers where nobody
// is logged in.
const lead = 4 * time.Second

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
	if !c.NobodyLoggedIn {
		admin, err := l.AdminSession(ctx)
		if err != nil {
			return r, fmt.Errorf("administrator's session: %w", err)
		}
		defer admin.Close()
	}
	begin := time.Now()
	var d *Running
	if c.Daemon != nil {
		if d, err = c.Daemon.Start(ctx, l); err != nil {
			return r, err
		}
		defer d.Stop()
	}
	wait := ease
	if c.NobodyLoggedIn {
		wait = time.Until(begin.Add(lead))
	}
	return c.measure(ctx, l, d, wait)
}

// measure starts the transfers after a wait and watches.
func (c Case) measure(ctx context.Context, l *lab.Lab, d *Running, wait time.Duration) (r Result, err error) {
	ping, err := l.Ping(ctx, lab.Ping{})
	if err != nil {
		return r, err
	}
	if err := sleep(ctx, wait); err != nil {
		return r, err
	}
	ts := c.Transfers
	if c.Bwlimit > 0 {
		ts.Args = append(ts.Args, fmt.Sprintf("--bwlimit=%d", c.Bwlimit))
	}
	before, err := l.Received()
	if err != nil {
		return r, err
	}
	started := time.Now()
	batch, err := l.Start(ctx, ts)
	if err != nil {
		return r, err
	}
	defer batch.Stop()
	w := watch{Case: c, lab: l, daemon: d, ping: ping, started: started, last: before}
	if err := w.until(ctx, c.Settle); err != nil {
		return r, err
	}
	w.arrived = w.arrived[max(0, len(w.arrived)-1):] // the measurement begins with the last look
	ps, err := d.processes()
	if err != nil {
		return r, err
	}
	used, err := ps.usage()
	if err != nil {
		return r, err
	}
	from := time.Since(started)
	if err := w.until(ctx, c.Settle+c.Measure); err != nil {
		return r, err
	}
	to := time.Since(started)
	after, err := ps.usage()
	if err != nil {
		return r, err
	}
	if err := unfinished(batch); err != nil {
		return r, err
	}
	st, err := w.ask(ctx)
	if err != nil {
		return r, err
	}
	r = summarise(ping.Stop(), started.Sub(ping.Begin()), from, to)
	r.Goodput, r.Lowest = mean(w.arrived), lowest(w.arrived, LowestWindow)
	r.Usage, r.Status = after.since(used), st
	if d != nil {
		r.Log = d.Log()
	}
	return r, nil
}

// unfinished fails if a transfer has ended.
func unfinished(b lab.Batch) error {
	for _, t := range b {
		select {
		case <-t.Done():
			return fmt.Errorf("a transfer ended during the measurement: %s", t.Stderr())
		default:
		}
	}
	return nil
}

// summarise reads the figures off the series; start is when the transfers
// started, from and to bound the measurement after that.
func summarise(s lab.Series, start, from, to time.Duration) Result {
	m := s.Between(start+from, start+to)
	r := Result{P50: m.Percentile(50), P99: m.Percentile(99), Loss: m.Loss(), Peak: s.Between(start, start+to).Max()}
	r.Calm, r.Calmed = s.Between(0, start+to).TimeToCalm(start, CalmBelow)
	r.RTT = s.Between(start, start+to)
	for i := range r.RTT {
		r.RTT[i].At -= start
	}
	r.ForGood = forGood(r.RTT)
	return r
}

// forGood judges the requests since the transfers' start.
func forGood(s lab.Series) (f ForGood) {
	f.After, f.Reached = s.CalmForGood(0, GoodBelow)
	f.Relapses = len(s.Above(Grace, GoodBelow))
	if above := s.Above(0, GoodBelow); len(above) > 0 {
		f.Last = above[len(above)-1].At
	}
	for _, v := range s {
		if v.Lost {
			f.Lost++
		}
	}
	return f
}

// watch looks at a run, and shows it to a spectator.
type watch struct {
	Case
	lab     *lab.Lab
	daemon  *Running // may be nil
	ping    *lab.Pinger
	started time.Time
	arrived []arrival
	last    lab.Received // of the look before
}

const lookEvery = 200 * time.Millisecond

// until watches until that long after the transfers' start, and looks last then.
func (w *watch) until(ctx context.Context, at time.Duration) error {
	for {
		left := at - time.Since(w.started)
		if left <= 0 {
			return nil
		}
		step := lookEvery
		if left < lookEvery*3/2 {
			step = left // nor is a moment so short that one burst is its rate
		}
		if err := sleep(ctx, step); err != nil {
			return err
		}
		if err := w.look(); err != nil {
			return err
		}
		if w.Ask != nil && w.daemon != nil {
			st, err := w.ask(ctx)
			if err != nil {
				return err
			}
			w.Ask(time.Since(w.started), st)
		}
	}
}

// ask returns the daemon's status; zero without one.
func (w *watch) ask(ctx context.Context) (web.Status, error) {
	if w.daemon == nil {
		return web.Status{}, nil
	}
	return w.daemon.Status(ctx)
}

// look takes down what has arrived, and shows the moment.
func (w *watch) look() error {
	now, err := w.lab.Received()
	if err != nil {
		return err
	}
	m := Moment{At: time.Since(w.started), RTT: lab.Never, Goodput: lab.GoodputBetween(w.last, now).Of(w.Transfers.Dir)}
	w.last = now
	w.arrived = append(w.arrived, arrival{now.At(w.Transfers.Dir), now.Payload(w.Transfers.Dir)})
	if w.Live != nil {
		w.show(m)
	}
	return nil
}

func (w *watch) show(m Moment) {
	s := w.ping.Samples()
	at := time.Since(w.ping.Begin())
	if recent := s.Between(at-time.Second, at); len(recent) > 0 {
		m.RTT = recent.Percentile(50)
		m.Lost = recent[len(recent)-1].Lost
	}
	w.Live(m)
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
