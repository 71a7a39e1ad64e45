package engine

import (
	"context"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// Sampler takes one sample of everything. Mono is the time since Loop.Origin. Where
// the last Decision says Rest, the Snapshot may be Repeated.
type Sampler interface {
	Sample(mono time.Duration, wall time.Time, last watchdog.Decision) watchdog.Snapshot
}

// Actuator makes the kernel match what is desired.
type Actuator interface {
	Apply(context.Context, watchdog.Desired, []watchdog.Transfer) watchdog.Outcome
}

// PinRequest is what an operator asks for one transfer.
type PinRequest struct {
	ID  watchdog.TransferID
	Pin control.Pin
}

// Loop repeats the cycle of control: sample, decide, act, publish.
type Loop struct {
	Engine   *Engine
	Sampler  Sampler
	Actuator Actuator
	Publish  func(watchdog.Report) // called after each cycle; must not wait
	Wake     <-chan struct{}       // a cycle is wanted at once: a transfer appeared, a link changed
	Pins     <-chan PinRequest
	Origin   time.Time // of the monotonic time that the Sampler is given; the probes share it
}

// String names the task.
func (l *Loop) String() string { return "watchdog" }

const (
	// minCycle keeps a storm of new processes from becoming a storm of cycles.
	minCycle = 10 * time.Millisecond
	// clockSlip is how far the wall clock may run from the monotonic one
	// between two cycles before the sample counts as a gap: a suspended machine
	// or a set clock.
	clockSlip = 2 * time.Second
)

// Run repeats the cycle until ctx ends. It leaves undoing to the Actuator's owner.
func (l *Loop) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var last time.Time
	var decision watchdog.Decision
	var stands watchdog.Outcome
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
			if wait := minCycle - time.Since(last); wait > 0 {
				timer.Reset(wait)
				continue
			}
		case <-timer.C:
		}
		now := time.Now()
		s := l.Sampler.Sample(now.Sub(l.Origin), now, decision)
		s.Gap = s.Gap || slipped(last, now)
		last = now
		decision = l.Engine.Step(s, stands)
		asItWas := s.Repeated && decision.Rest && len(decision.Changes) == 0
		if !asItWas { // else what changes slowly is set by the next cycle
			stands = l.Actuator.Apply(ctx, decision.Desired, s.Transfers)
			l.Publish(watchdog.Report{Snapshot: s, Decision: decision, Outcome: stands, Learnt: l.Engine.Learnt(), Took: time.Since(now)})
		}
		timer.Reset(max(minCycle, decision.Tick-time.Since(now)))
	}
}

// slipped tells whether wall and monotonic clock went apart between two cycles.
func slipped(last, now time.Time) bool {
	if last.IsZero() {
		return false
	}
	d := now.Round(0).Sub(last.Round(0)) - now.Sub(last)
	return d > clockSlip || d < -clockSlip
}
