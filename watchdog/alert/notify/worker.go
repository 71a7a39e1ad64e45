package notify

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	backoff "github.com/cenkalti/backoff/v5"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/spool"
	"lifeline/watchdog/files"
)

const (
	// maxBlocked bounds the incidents that are passed over because the receiver
	// failed on them.
	maxBlocked = 128
	// blockForgottenAfter is how long after its time an incident is still looked for: its
	// event may have been dropped.
	blockForgottenAfter = time.Hour
	// maxSleep is how long a worker sleeps at most: it looks now and then at
	// what waits in memory because the disk does not take it.
	maxSleep    = 10 * time.Second
	memorySleep = time.Second
	stopGrace   = time.Second
)

// block is an incident on which the receiver failed: its events wait, those of
// others go on.
type block struct {
	until time.Time
	seq   uint64 // of the event that failed
	pause *backoff.ExponentialBackOff
}

// Worker brings events to one receiver: one at a time, in order per incident.
type Worker struct {
	cfg      Receiver
	host     string
	spool    *spool.Spool
	notifier notifier
	table    *alertTable // of an Alertmanager; else nil
	log      *slog.Logger
	now      func() time.Time
	pulse    func() Pulse
	tests    *TestAlerts
	wakeups  chan struct{}
	nudges   chan struct{} // the network may be back
	beats    chan struct{} // a heartbeat is due before its time

	pause         *backoff.ExponentialBackOff
	notBefore     time.Time
	retryAfterSet bool // notBefore is what the receiver asked for
	blocked       map[uint64]*block
	from          uint64 // everything before has been sent or is blocked
	attempts      int    // on the event in hand
	inHand        uint64
	failing       bool
	nextBeat      time.Time
	nextRepost    time.Time

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

// Env is what the workers of all receivers have in common.
type Env struct {
	Host        string
	Spool       *spool.Spool
	Credentials string        // the directory with credentials; empty: $CREDENTIALS_DIRECTORY
	Files       *files.Reader // reads secrets and certificates; nil: the one for all
	Log         *slog.Logger
	Pulse       func() Pulse
	Tests       *TestAlerts
	Now         func() time.Time
}

// NewWorker makes the worker of one receiver. It works while its run does.
func NewWorker(r Receiver, env Env) *Worker {
	if r.SkipVerify {
		env.Log.Warn("the certificate of this receiver is not checked (skip_verify)", "receiver", r.Name)
	}
	v := newSecretStore(env.Credentials)
	v.reader = env.Files
	var t *alertTable
	if r.Type == TypeAlertmanager {
		t = newTable(r, func(changed map[string][]byte) { env.Spool.SavePosted(r.Name, changed) })
	}
	return &Worker{
		cfg: r, host: env.Host, spool: env.Spool, notifier: newNotifier(r, v, t, env.Now), table: t, log: env.Log.With("receiver", r.Name),
		now: env.Now, pulse: env.Pulse, tests: env.Tests,
		wakeups: make(chan struct{}, 1), nudges: make(chan struct{}, 1), beats: make(chan struct{}, 1),
		pause: newPause(r), blocked: map[uint64]*block{},
	}
}

// newPause is the pauses between attempts: exponential, with jitter.
func newPause(r Receiver) *backoff.ExponentialBackOff {
	return &backoff.ExponentialBackOff{InitialInterval: r.RetryMin.Duration, MaxInterval: r.RetryMax.Duration, Multiplier: 2, RandomizationFactor: 0.3}
}

// Run works until ctx ends. A request that is under way then may come to its
// end for a moment, so that a restart does not send it twice.
func (w *Worker) Run(ctx context.Context) error {
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
		case <-w.wakeups:
		case <-w.nudges:
			w.nudged()
		case <-w.beats:
			w.nextBeat = time.Time{}
		}
		for ctx.Err() == nil {
			wait := w.step(sending)
			if wait > 0 {
				timer.Reset(wait)
				break
			}
		}
	}
}

// nudged ends a pause that was only a guess.
func (w *Worker) nudged() {
	if !w.retryAfterSet {
		w.pause.Reset()
		w.notBefore = time.Time{}
	}
}

// step does at most one thing and tells how long there is nothing to do.
func (w *Worker) step(ctx context.Context) time.Duration {
	now := w.now()
	if w.cfg.Heartbeat.Duration > 0 && w.beatIn(now) <= 0 {
		w.beat(ctx, now)
		return 0
	}
	if wait := w.notBefore.Sub(now); wait > 0 {
		return w.sleepFor(now, wait)
	}
	if a, ok := w.notifier.(reposter); ok && !now.Before(w.nextRepost) {
		return w.repost(ctx, a, now)
	}
	if w.reportDrops(ctx) {
		return 0
	}
	it, ok, err := w.nextItem(now)
	switch {
	case err != nil:
		w.log.Warn("the spool cannot be read", "error", err)
		return w.sleepFor(now, memorySleep)
	case ok:
		w.send(ctx, it)
		return 0
	}
	w.updateFigures(func(f *figures) { f.oldest = time.Time{} })
	return w.sleepFor(now, w.nextUnblocked(now))
}

// sleepFor bounds a wait by whatever else is to be done.
func (w *Worker) sleepFor(now time.Time, wait time.Duration) time.Duration {
	wait = min(wait, maxSleep)
	if w.spool.HasUnwritten() {
		wait = min(wait, memorySleep)
	}
	if w.cfg.Heartbeat.Duration > 0 {
		wait = min(wait, w.beatIn(now))
	}
	if _, ok := w.notifier.(reposter); ok {
		wait = min(wait, max(w.nextRepost.Sub(now), w.notBefore.Sub(now)))
	}
	return max(wait, time.Millisecond)
}

// nextItem gives the next event that may be sent.
func (w *Worker) nextItem(now time.Time) (spool.Item, bool, error) {
	w.mu.Lock()
	if w.rewound {
		w.from, w.rewound = 0, false
	}
	w.mu.Unlock()
	for incident, b := range w.blocked {
		switch {
		case now.Sub(b.until) > blockForgottenAfter:
			delete(w.blocked, incident)
		case !now.Before(b.until):
			w.from = min(w.from, b.seq)
		}
	}
	it, ok, err := w.spool.Next(w.cfg.Name, w.from, func(incident uint64) bool {
		b := w.blocked[incident]
		return b != nil && now.Before(b.until)
	})
	if ok {
		w.from = it.Seq
		w.updateFigures(func(f *figures) { f.oldest = spool.SpooledAt(it.Seq) })
	}
	return it, ok, err
}

// nextUnblocked is how long until a blocked incident is tried again.
func (w *Worker) nextUnblocked(now time.Time) time.Duration {
	wait := maxSleep
	for _, b := range w.blocked {
		wait = min(wait, max(b.until.Sub(now), 0))
	}
	return wait
}

// send makes one attempt with an event.
func (w *Worker) send(ctx context.Context, it spool.Item) {
	if it.Seq != w.inHand {
		w.inHand, w.attempts = it.Seq, 0
	}
	w.attempts++
	ev, err := it.Event()
	if err != nil {
		ev.ID = fmt.Sprintf("damaged-%d", it.Seq)
		w.refuse(it, ev, &deliveryError{verdict: refused, msg: "the spooled event cannot be read: " + err.Error()})
		return
	}
	err = w.notifier.notify(ctx, ev)
	if ctx.Err() != nil && err != nil {
		return // broken off by the end of the daemon: no judgement of the receiver
	}
	switch {
	case err == nil:
		w.sent(it, ev)
		return
	case errors.Is(err, errNothingToSend):
		w.spool.Complete(spool.Completion{Receiver: w.cfg.Name, Seq: it.Seq})
		delete(w.blocked, it.Incident)
		w.noteTestAnswer(ev, false)
		return
	}
	f := asDeliveryError(err)
	if f.verdict == refused {
		w.refuse(it, ev, f)
		return
	}
	w.failed(f)
	if f.verdict == retryEvent {
		w.block(it)
		w.noteTestFailure(ev.IncidentID(), f)
	}
}

// asDeliveryError gives whatever error a notifier returned as a deliveryError.
func asDeliveryError(err error) *deliveryError {
	var f *deliveryError
	if errors.As(err, &f) {
		return f
	}
	return &deliveryError{verdict: retryAll, msg: err.Error()}
}

// sent takes note of success.
func (w *Worker) sent(it spool.Item, ev incident.Event) {
	now := w.now()
	w.spool.Complete(spool.Completion{Receiver: w.cfg.Name, Seq: it.Seq, Delivered: &incident.Delivery{
		Receiver: w.cfg.Name, Event: ev.ID, Incident: ev.IncidentID(), Kind: ev.Kind, At: ev.At, Taken: incident.Timestamp(now), Attempts: w.attempts,
	}})
	delete(w.blocked, it.Incident)
	w.succeeded()
	w.updateFigures(func(f *figures) { f.sent++; f.lastSent = incident.Timestamp(now) })
	w.noteTestAnswer(ev, true)
}

// succeeded ends all pauses: the receiver works.
func (w *Worker) succeeded() {
	w.pause.Reset()
	w.notBefore, w.retryAfterSet = time.Time{}, false
	if w.failing {
		w.failing = false
		w.log.Info("the receiver takes alerts again")
	}
	w.updateFigures(func(f *figures) { f.lastErr, f.next = "", time.Time{} })
}

// refuse puts an event aside that the receiver will never take.
func (w *Worker) refuse(it spool.Item, ev incident.Event, f *deliveryError) {
	now := w.now()
	w.spool.Complete(spool.Completion{Receiver: w.cfg.Name, Seq: it.Seq, Refused: &spool.DeadLetter{
		Receiver: w.cfg.Name, Event: ev.ID, Incident: ev.IncidentID(), Kind: it.Kind, Summary: ev.Summary,
		At: ev.At, Refused: incident.Timestamp(now), Status: f.status, Error: f.msg,
	}})
	delete(w.blocked, it.Incident)
	if ev.Test {
		w.noteTestFailure(ev.IncidentID(), f)
	}
	w.log.Warn("the receiver refused an alert; it is kept among the dead letters", "event", ev.ID, "error", f.msg)
	w.updateFigures(func(fig *figures) { fig.failed++; fig.lastErr, fig.lastErrAt = f.msg, incident.Timestamp(now) })
}

// failed pauses after a failure.
func (w *Worker) failed(f *deliveryError) {
	now := w.now()
	pause := w.pause.NextBackOff()
	w.retryAfterSet = f.retryAfter > 0
	if w.retryAfterSet {
		pause = f.retryAfter
	}
	w.notBefore = now.Add(pause)
	if !w.failing {
		w.failing = true
		w.log.Warn("the receiver does not take alerts; they are kept and tried again", "error", f.msg)
	}
	w.updateFigures(func(fig *figures) {
		fig.failed++
		fig.lastErr, fig.lastErrAt, fig.next = f.msg, incident.Timestamp(now), incident.Timestamp(w.notBefore)
	})
	if f.verdict == retryAll {
		w.noteTestFailure("", f)
	}
}

// block lets other incidents go first, longer each time.
func (w *Worker) block(it spool.Item) {
	b := w.blocked[it.Incident]
	if b == nil {
		if len(w.blocked) >= maxBlocked {
			return
		}
		b = &block{pause: newPause(w.cfg)}
		w.blocked[it.Incident] = b
	}
	b.seq, b.until = it.Seq, w.notBefore.Add(b.pause.NextBackOff())
}

// repost lets the notifier send what is due between events.
func (w *Worker) repost(ctx context.Context, a reposter, now time.Time) time.Duration {
	wait, err := a.repost(ctx, now)
	w.updateFigures(func(f *figures) { f.held = a.held() })
	if err != nil && ctx.Err() == nil {
		w.failed(asDeliveryError(err))
		return w.sleepFor(now, w.notBefore.Sub(now))
	}
	w.nextRepost = now.Add(min(wait, maxSleep))
	return 0
}

// reportDrops tells the receiver what it lost to a full spool, before anything
// that came later.
func (w *Worker) reportDrops(ctx context.Context) bool {
	d := w.spool.Drops(w.cfg.Name)
	if d.Total <= d.Reported {
		return false
	}
	n := d.Total - d.Reported
	ev := incident.Event{
		Version: incident.PayloadVersion, ID: fmt.Sprintf("dropped-%s-%d", digestName(w.host+w.cfg.Name), d.Total), Kind: incident.Dropped,
		At: d.To, Host: w.host, Severity: watchdog.Warning, Dropped: &incident.DropCount{Count: n, From: d.From, To: d.To},
		Summary: fmt.Sprintf("%s: the spool was full: %d alerts for this receiver from %s to %s were dropped", w.host, n, incident.FormatTime(d.From), incident.FormatTime(d.To)),
	}
	if err := w.notifier.notify(ctx, ev); err != nil && !errors.Is(err, errNothingToSend) {
		if f := asDeliveryError(err); f.verdict != refused {
			w.failed(f)
			return true
		}
	}
	w.spool.DropsReported(w.cfg.Name, d.Total)
	w.succeeded()
	return true
}

// updateFigures changes the figures.
func (w *Worker) updateFigures(f func(*figures)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.figures)
}

// Rewind makes the worker look at its queue from the beginning.
func (w *Worker) Rewind() {
	w.mu.Lock()
	w.rewound = true
	w.mu.Unlock()
	poke(w.wakeups)
}

// Restore takes up what an Alertmanager was told before a restart, by receiver
// and fingerprint. It is called before the worker runs; of what a file holds
// that is opened later, all expires at Alertmanager by itself.
func (w *Worker) Restore(posted map[string]map[string][]byte) {
	if w.table != nil {
		w.table.restore(posted[w.cfg.Name])
	}
}

func (w *Worker) Name() string { return w.cfg.Name }

// Wake makes the worker look at its queue.
func (w *Worker) Wake() { poke(w.wakeups) }

// Nudge ends a pause after a failure, unless the receiver asked for it.
func (w *Worker) Nudge() { poke(w.nudges) }

// BeatNow makes a dead-man's switch beat at once; others have no use for it.
func (w *Worker) BeatNow() {
	if w.cfg.Type == TypePing {
		poke(w.beats)
	}
}

// poke wakes whoever listens, once.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
