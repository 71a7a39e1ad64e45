package alert

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"

	"lifeline/watchdog"
)

const (
	// mostBlocked bounds the incidents that are passed over because the receiver
	// failed on them.
	mostBlocked = 128
	// forgetBlock is how long after its time an incident is still looked for: its
	// event may have been dropped.
	forgetBlock = time.Hour
	// longestIdle is how long a worker sleeps at most: it looks now and then at
	// what waits in memory because the disk does not take it.
	longestIdle = 10 * time.Second
	memoryIdle  = time.Second
	stopGrace   = time.Second
)

// block is an incident on which the receiver failed: its events wait, those of
// others go on.
type block struct {
	until time.Time
	seq   uint64 // of the event that failed
	pause *backoff.ExponentialBackOff
}

// worker brings events to one receiver: one at a time, in order per incident.
type worker struct {
	cfg    Receiver
	host   string
	spool  *spool
	sender sender
	log    *slog.Logger
	now    func() time.Time
	pulse  func() pulse
	trials *trials
	kick   chan struct{}
	nudges chan struct{} // the network may be back
	beats  chan struct{} // a heartbeat is due before its time

	pause     *backoff.ExponentialBackOff
	notBefore time.Time
	rested    bool // notBefore is what the receiver asked for
	blocked   map[uint64]*block
	from      uint64 // everything before has been sent or is blocked
	attempts  int    // on the event in hand
	inHand    uint64
	failing   bool
	nextBeat  time.Time
	nextDuty  time.Time

	mu      sync.Mutex
	figures figures
	rewound bool // dead letters were put back: look from the beginning
}

// figures are what status tells of a worker.
type figures struct {
	sent, failed uint64
	lastSent     time.Time
	lastErr      string // of the last attempt; empty when it went well
	lastErrAt    time.Time
	next         time.Time // the next attempt after a failure
	held         int
	oldest       time.Time // when the event in hand came in; zero for none
}

func newWorker(r Receiver, host string, s *spool, send sender, log *slog.Logger, pulse func() pulse, ts *trials) *worker {
	return &worker{
		cfg: r, host: host, spool: s, sender: send, log: log.With("receiver", r.Name), now: time.Now, pulse: pulse, trials: ts,
		kick: make(chan struct{}, 1), nudges: make(chan struct{}, 1), beats: make(chan struct{}, 1),
		pause: newPause(r), blocked: map[uint64]*block{},
	}
}

// newPause is the pauses between attempts: exponential, with jitter.
func newPause(r Receiver) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: r.RetryMin, MaxInterval: r.RetryMax, Multiplier: 2, RandomizationFactor: 0.3}
}

// run works until ctx ends. A request that is under way then may come to its
// end for a moment, so that a restart does not send it twice.
func (w *worker) run(ctx context.Context) error {
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(stopGrace, cancel) })()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
		case <-w.kick:
		case <-w.nudges:
			w.nudged()
		case <-w.beats:
			w.nextBeat = time.Time{}
		}
		for ctx.Err() == nil {
			wait := w.turn(sending)
			if wait > 0 {
				timer.Reset(wait)
				break
			}
		}
	}
}

// nudged ends a pause that was only a guess.
func (w *worker) nudged() {
	if !w.rested {
		w.pause.Reset()
		w.notBefore = time.Time{}
	}
}

// turn does at most one thing and tells how long there is nothing to do.
func (w *worker) turn(ctx context.Context) time.Duration {
	now := w.now()
	if w.cfg.Heartbeat > 0 && w.beatIn(now) <= 0 {
		w.beat(ctx, now)
		return 0
	}
	if wait := w.notBefore.Sub(now); wait > 0 {
		return w.idle(now, wait)
	}
	if a, ok := w.sender.(attendant); ok && !now.Before(w.nextDuty) {
		return w.attend(ctx, a, now)
	}
	if w.tellDrops(ctx) {
		return 0
	}
	it, ok, err := w.look(now)
	switch {
	case err != nil:
		w.log.Warn("the spool cannot be read", "error", err)
		return w.idle(now, memoryIdle)
	case ok:
		w.send(ctx, it)
		return 0
	}
	w.note(func(f *figures) { f.oldest = time.Time{} })
	return w.idle(now, w.nextUnblocked(now))
}

// idle bounds a wait by whatever else is to be done.
func (w *worker) idle(now time.Time, wait time.Duration) time.Duration {
	wait = min(wait, longestIdle)
	if w.spool.unwritten() {
		wait = min(wait, memoryIdle)
	}
	if w.cfg.Heartbeat > 0 {
		wait = min(wait, w.beatIn(now))
	}
	if _, ok := w.sender.(attendant); ok {
		wait = min(wait, max(w.nextDuty.Sub(now), w.notBefore.Sub(now)))
	}
	return max(wait, time.Millisecond)
}

// look gives the next event that may be sent.
func (w *worker) look(now time.Time) (item, bool, error) {
	w.mu.Lock()
	if w.rewound {
		w.from, w.rewound = 0, false
	}
	w.mu.Unlock()
	for incident, b := range w.blocked {
		switch {
		case now.Sub(b.until) > forgetBlock:
			delete(w.blocked, incident)
		case !now.Before(b.until):
			w.from = min(w.from, b.seq)
		}
	}
	it, ok, err := w.spool.next(w.cfg.Name, w.from, func(incident uint64) bool {
		b := w.blocked[incident]
		return b != nil && now.Before(b.until)
	})
	if ok {
		w.from = it.seq
		w.note(func(f *figures) { f.oldest = cameIn(it.seq) })
	}
	return it, ok, err
}

// nextUnblocked is how long until a blocked incident is tried again.
func (w *worker) nextUnblocked(now time.Time) time.Duration {
	wait := longestIdle
	for _, b := range w.blocked {
		wait = min(wait, max(b.until.Sub(now), 0))
	}
	return wait
}

// send makes one attempt with an event.
func (w *worker) send(ctx context.Context, it item) {
	if it.seq != w.inHand {
		w.inHand, w.attempts = it.seq, 0
	}
	w.attempts++
	ev, err := decodeEvent(it.raw)
	if err != nil {
		ev.ID = fmt.Sprintf("damaged-%d", it.seq)
		w.refuse(it, ev, &failure{fate: refused, msg: "the spooled event cannot be read: " + err.Error()})
		return
	}
	ev.Kind = it.kind
	err = w.sender.deliver(ctx, ev)
	if ctx.Err() != nil && err != nil {
		return // broken off by the end of the daemon: no judgement of the receiver
	}
	switch {
	case err == nil:
		w.sent(it, ev)
		return
	case errors.Is(err, errNothing):
		w.spool.end(ending{receiver: w.cfg.Name, seq: it.seq})
		delete(w.blocked, it.incident)
		w.tried(ev, false)
		return
	}
	f := asFailure(err)
	if f.fate == refused {
		w.refuse(it, ev, f)
		return
	}
	w.failed(f)
	if f.fate == another {
		w.block(it)
		w.failedTrial(ev.incident(), f)
	}
}

// asFailure makes a failure of whatever a sender returned.
func asFailure(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	return &failure{fate: later, msg: err.Error()}
}

// sent takes note of success.
func (w *worker) sent(it item, ev Event) {
	now := w.now()
	w.spool.end(ending{receiver: w.cfg.Name, seq: it.seq, told: &Delivery{
		Receiver: w.cfg.Name, Event: ev.ID, Incident: ev.incident(), Kind: ev.Kind, At: ev.At, Taken: stamp(now), Attempts: w.attempts,
	}})
	delete(w.blocked, it.incident)
	w.well()
	w.note(func(f *figures) { f.sent++; f.lastSent = stamp(now) })
	w.tried(ev, true)
}

// well ends all pauses: the receiver works.
func (w *worker) well() {
	w.pause.Reset()
	w.notBefore, w.rested = time.Time{}, false
	if w.failing {
		w.failing = false
		w.log.Info("the receiver takes alerts again")
	}
	w.note(func(f *figures) { f.lastErr, f.next = "", time.Time{} })
}

// refuse puts an event aside that the receiver will never take.
func (w *worker) refuse(it item, ev Event, f *failure) {
	now := w.now()
	w.spool.end(ending{receiver: w.cfg.Name, seq: it.seq, dead: &DeadLetter{
		Receiver: w.cfg.Name, Event: ev.ID, Incident: ev.incident(), Kind: it.kind, Summary: ev.Summary,
		At: ev.At, Refused: stamp(now), Status: f.status, Error: f.msg,
	}})
	delete(w.blocked, it.incident)
	if ev.Test {
		w.failedTrial(ev.incident(), f)
	}
	w.log.Warn("the receiver refused an alert; it is kept among the dead letters", "event", ev.ID, "error", f.msg)
	w.note(func(fig *figures) { fig.failed++; fig.lastErr, fig.lastErrAt = f.msg, stamp(now) })
}

// failed pauses after a failure.
func (w *worker) failed(f *failure) {
	now := w.now()
	pause := w.pause.NextBackOff()
	w.rested = f.rest > 0
	if w.rested {
		pause = f.rest
	}
	w.notBefore = now.Add(pause)
	if !w.failing {
		w.failing = true
		w.log.Warn("the receiver does not take alerts; they are kept and tried again", "error", f.msg)
	}
	w.note(func(fig *figures) {
		fig.failed++
		fig.lastErr, fig.lastErrAt, fig.next = f.msg, stamp(now), stamp(w.notBefore)
	})
	if f.fate == later {
		w.failedTrial("", f)
	}
}

// block lets other incidents go first, longer each time.
func (w *worker) block(it item) {
	b := w.blocked[it.incident]
	if b == nil {
		if len(w.blocked) >= mostBlocked {
			return
		}
		b = &block{pause: newPause(w.cfg)}
		w.blocked[it.incident] = b
	}
	b.seq, b.until = it.seq, w.notBefore.Add(b.pause.NextBackOff())
}

// attend lets the sender do what it has to do between events.
func (w *worker) attend(ctx context.Context, a attendant, now time.Time) time.Duration {
	wait, err := a.attend(ctx, now)
	w.note(func(f *figures) { f.held = a.held() })
	if err != nil && ctx.Err() == nil {
		w.failed(asFailure(err))
		return w.idle(now, w.notBefore.Sub(now))
	}
	w.nextDuty = now.Add(min(wait, longestIdle))
	return 0
}

// tellDrops tells the receiver what it lost to a full spool, before anything
// that came later.
func (w *worker) tellDrops(ctx context.Context) bool {
	d := w.spool.drops(w.cfg.Name)
	if d.Total <= d.Told {
		return false
	}
	n := d.Total - d.Told
	ev := Event{
		Version: PayloadVersion, ID: fmt.Sprintf("dropped-%s-%d", digestName(w.host+w.cfg.Name), d.Total), Kind: Dropped,
		At: d.To, Host: w.host, Severity: watchdog.Warning, Dropped: &DropCount{n, d.From, d.To},
		Summary: fmt.Sprintf("%s: the spool was full: %d alerts for this receiver from %s to %s were dropped", w.host, n, shown(d.From), shown(d.To)),
	}
	if err := w.sender.deliver(ctx, ev); err != nil && !errors.Is(err, errNothing) {
		if f := asFailure(err); f.fate != refused {
			w.failed(f)
			return true
		}
	}
	w.spool.dropsTold(w.cfg.Name, d.Total)
	w.well()
	return true
}

// note changes the figures.
func (w *worker) note(f func(*figures)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.figures)
}

// rewind makes the worker look at its queue from the beginning.
func (w *worker) rewind() {
	w.mu.Lock()
	w.rewound = true
	w.mu.Unlock()
	poke(w.kick)
}
