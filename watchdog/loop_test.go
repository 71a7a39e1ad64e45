package watchdog

import (
	"context"
	"testing"
	"time"
)

// fakeSensor gives the same transfer each time, Repeated wherever it may.
type fakeSensor struct {
	host  *host
	rests chan bool // what each Sample was told
}

func (s *fakeSensor) Sample(mono time.Duration, _ time.Time, last Decision) Snapshot {
	s.host.now = mono
	snap := s.host.snapshot()
	snap.Repeated = last.Rest
	s.rests <- last.Rest
	return snap
}

type countingActor struct{ applied chan struct{} }

func (a *countingActor) Apply(context.Context, Desired, []Transfer) Outcome {
	a.applied <- struct{}{}
	return Outcome{}
}

// While nothing moves, a turn that saw only what probes answered sets nothing;
// whoever wakes the loop gets a whole turn.
func TestRestingTurnsSetNothing(t *testing.T) {
	h := newHost(func(s *Settings) {
		s.IdleTick = time.Millisecond
		s.Link = func(...string) LinkSettings { return LinkSettings{Mode: [2]Mode{ModeOff, ModeOff}} }
	}, 1)
	h.queue = 0
	sensor := &fakeSensor{host: h, rests: make(chan bool)}
	actor := &countingActor{applied: make(chan struct{}, 1000)}
	wake, pins := make(chan struct{}), make(chan Pinning)
	told := make(chan Report, 1000)
	l := &Loop{Engine: h.engine, Sensor: sensor, Actor: actor, Tell: func(r Report) { told <- r }, Wake: wake, Pins: pins, Origin: time.Now()}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- l.Run(ctx) }()
	if <-sensor.rests {
		t.Error("the first turn rests")
	}
	<-actor.applied
	for range 20 { // conditions are raised by whole turns
		<-sensor.rests
	}
	for len(actor.applied) > 0 {
		<-actor.applied
	}
	for range 20 {
		if !<-sensor.rests {
			t.Error("a turn without need looks at everything")
		}
	}
	if n := len(actor.applied); n > 0 {
		t.Errorf("%d of 20 resting turns set something", n)
	}
	for what, poke := range map[string]func(){
		"a wake": func() { wake <- struct{}{} },
		"a pin":  func() { pins <- Pinning{ID: "a"} },
	} {
		go poke()
		whole := false
		for n := 0; n < 50 && !whole; n++ {
			whole = !<-sensor.rests
		}
		if !whole {
			t.Errorf("no whole turn after %s", what)
		}
		<-actor.applied
	}
	cancel()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		case <-sensor.rests:
		}
	}
}
