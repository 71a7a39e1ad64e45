package watchdog

import (
	"context"
	"time"

	"lifeline/watchdog/control"
)

// Sensor takes one sample of everything. Mono is the time since Loop.Origin. Where
// the last Decision says Rest, the Snapshot may be Repeated.
type Sensor interface {
	Sample(mono time.Duration, wall time.Time, last Decision) Snapshot
}

// Actor makes the kernel match what is desired.
type Actor interface {
	Apply(context.Context, Desired, []Transfer) Outcome
}

// Report is one turn of the loop: what was seen, decided and done.
type Report struct {
	Snapshot Snapshot
	Decision Decision
	Outcome  Outcome
	Learnt   map[LearntKey]float64 // bytes/s; do not keep
	Took     time.Duration
}

// Pinning is an operator's wish for one transfer.
type Pinning struct {
	ID  TransferID
	Pin control.Pin
}

// Loop is the watchdog's heart: sense, decide, act, tell.
type Loop struct {
	Engine *Engine
	Sensor Sensor
	Actor  Actor
	Tell   func(Report)    // called after each turn; must not wait
	Wake   <-chan struct{} // a turn is wanted at once: a transfer appeared, a link changed
	Pins   <-chan Pinning
	Origin time.Time // of the monotonic time that the Sensor is given; the probes share it
}

// String names the task.
func (l *Loop) String() string { return "watchdog" }

const (
	// minTurn keeps a storm of new processes from becoming a storm of turns.
	minTurn = 10 * time.Millisecond
	// clockSlip is how far the wall clock may run from the monotonic one
	// between two turns before the sample counts as a gap: a suspended machine
	// or a set clock.
	clockSlip = 2 * time.Second
)

// Run turns until ctx ends. It leaves undoing to the Actor's owner.
func (l *Loop) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time
	var decision Decision
	var stands Outcome
	for {
		select {
		case <-ctx.Done():
			return nil
		case p := <-l.Pins:
			l.Engine.Pin(p.ID, p.Pin)
			decision.Rest = false
			continue
		case <-l.Wake:
			decision.Rest = false
			if wait := minTurn - time.Since(last); wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		now := time.Now()
		s := l.Sensor.Sample(now.Sub(l.Origin), now, decision)
		s.Gap = s.Gap || slipped(last, now)
		last = now
		decision = l.Engine.Step(s, stands)
		asItWas := s.Repeated && decision.Rest && len(decision.Changes) == 0
		if !asItWas { // else what changes slowly is set by the next turn
			stands = l.Actor.Apply(ctx, decision.Desired, s.Transfers)
			l.Tell(Report{s, decision, stands, l.Engine.Learnt(), time.Since(now)})
		}
		timer.Reset(max(minTurn, decision.Tick-time.Since(now)))
	}
}

// slipped tells whether wall and monotonic clock went apart between two turns.
func slipped(last, now time.Time) bool {
	if last.IsZero() {
		return false
	}
	d := now.Round(0).Sub(last.Round(0)) - now.Sub(last)
	return d > clockSlip || d < -clockSlip
}
