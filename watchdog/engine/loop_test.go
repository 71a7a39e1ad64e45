package engine

import (
	"context"
	"testing"
	"time"

	"lifeline/watchdog"
)

// fakeSampler gives the same transfer each time, Repeated wherever it may.
type fakeSampler struct {
	host  *host
	rests chan bool // what each Sample was told
}

func (s *fakeSampler) Sample(mono time.Duration, _ time.Time, last watchdog.Decision) watchdog.Snapshot {
	s.host.now = mono
	snap := s.host.snapshot()
	snap.Repeated = last.Rest
	s.rests <- last.Rest
	return snap
}

type countingActuator struct{ applied chan struct{} }

func (a *countingActuator) Apply(context.Context, watchdog.Desired, []watchdog.Transfer) watchdog.Outcome {
	a.applied <- struct{}{}
	return watchdog.Outcome{}
}

// While nothing moves, a turn that saw only what probes answered sets nothing;
// whoever wakes the loop gets a whole turn.
func TestRestingTurnsSetNothing(t *testing.T) {
	h := newHost(func(s *Settings) {
		s.IdleTick = time.Millisecond
		s.Link = func(...string) LinkSettings { return LinkSettings{Mode: [2]Mode{ModeOff, ModeOff}} }
	}, 1)
	h.queue = 0
	sampler := &fakeSampler{host: h, rests: make(chan bool)}
	actuator := &countingActuator{applied: make(chan struct{}, 1000)}
	wake, pins := make(chan struct{}), make(chan PinRequest)
	told := make(chan watchdog.Report, 1000)
	l := &Loop{Engine: h.engine, Sampler: sampler, Actuator: actuator, Publish: func(r watchdog.Report) { told <- r }, Wake: wake, Pins: pins, Origin: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	if <-sampler.rests {
		t.Error("the first turn rests")
	}
	<-actuator.applied
	for range 20 { // conditions are raised by whole turns
		<-sampler.rests
	}
	for len(actuator.applied) > 0 {
		<-actuator.applied
	}
	for range 20 {
		if !<-sampler.rests {
			t.Error("a turn without need looks at everything")
		}
	}
	if n := len(actuator.applied); n > 0 {
		t.Errorf("%d of 20 resting turns set something", n)
	}
	for what, poke := range map[string]func(){
		"a wake": func() { wake <- struct{}{} },
		"a pin":  func() { pins <- PinRequest{ID: "a"} },
	} {
		go poke()
		whole := false
		for n := 0; n < 50 && !whole; n++ {
			whole = !<-sampler.rests
		}
		if !whole {
			t.Errorf("no whole turn after %s", what)
		}
		<-actuator.applied
	}
	cancel()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		case <-sampler.rests:
		}
	}
}

// Whoever keeps a report keeps what was learnt by then: the engine learns on, in
// another goroutine and in a map of its own.
func TestReportKeepsWhatWasLearnt(t *testing.T) {
	h := newHost(func(s *Settings) { s.IdleTick = time.Millisecond }, 0) // without transfers nothing else is learnt
	key := watchdog.LearntKey{Link: "eth0", Direction: watchdog.Rx}
	h.engine.learnt[key] = 1
	sampler := &fakeSampler{host: h, rests: make(chan bool, 1000)}
	reports := make(chan watchdog.Report)
	l := &Loop{Engine: h.engine, Sampler: sampler, Actuator: &countingActuator{applied: make(chan struct{}, 1000)},
		Publish: func(r watchdog.Report) {
			reports <- r
			h.engine.learnt[key]++ // as a step does
		}, Origin: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	var kept []watchdog.Report
	for range 5 {
		kept = append(kept, <-reports)
		for i, r := range kept {
			if got := r.Learnt[key]; got != float64(i+1) {
				t.Errorf("report %d of %d says now that %g was learnt", i, len(kept), got)
			}
		}
	}
	cancel()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		case <-reports:
		}
	}
}
