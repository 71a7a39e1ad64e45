package engine

import (
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// Limits that hold the transfers while nothing says that the link needs them end
// after their longest hold, and no sooner; those that something justifies stand
// for ever, and what cannot be known is no reason to end them.
func TestLimitsAreJustifiedAnew(t *testing.T) {
	const target = 5 * time.Millisecond
	seen := control.Input{RateKnown: true, Rate: 1e6, Delay: control.Delay{Known: true, Queue: 900 * time.Microsecond}}
	with := func(change func(*control.Input)) control.Input {
		in := seen
		change(&in)
		return in
	}
	queue := with(func(in *control.Input) { in.Delay.Queue = time.Millisecond })
	for _, c := range []struct {
		name  string
		ins   []control.Input // a minute each
		phase control.Phase
		want  time.Duration
	}{
		{"held for nothing", []control.Input{seen, seen, seen, seen}, control.Engaged, 3 * time.Minute},
		{"a queue, now and then", []control.Input{seen, seen, queue, seen, seen}, control.Engaged, time.Minute},
		{"the link's own capacity is used", []control.Input{seen, with(func(in *control.Input) { in.Capacity = 1.1e6 })}, control.Engaged, 0},
		{"one that was learnt is used", []control.Input{seen, with(func(in *control.Input) { in.Learnt = 1.1e6 })}, control.Engaged, time.Minute},
		{"half of the link's own", []control.Input{seen, with(func(in *control.Input) { in.Capacity = 2e6 })}, control.Engaged, time.Minute},
		{"drops", []control.Input{seen, with(func(in *control.Input) { in.Drops = 20 })}, control.Engaged, 0},
		{"management is cut off", []control.Input{seen, with(func(in *control.Input) { in.Management = control.Unreachable })}, control.Engaged, 0},
		{"a suspend", []control.Input{seen, with(func(in *control.Input) { in.Gap = true }), seen}, control.Engaged, 0},
		{"no delay known", []control.Input{seen, with(func(in *control.Input) { in.Delay.Known = false })}, control.Engaged, 0},
		{"no rate known", []control.Input{seen, with(func(in *control.Input) { in.RateKnown = false })}, control.Engaged, 0},
		{"still trying", []control.Input{seen, seen}, control.Probing, 0},
		{"lifted", []control.Input{seen, seen}, control.Backoff, 0},
	} {
		var x limitHold
		var got time.Duration
		for i, in := range c.ins {
			in.Now = time.Duration(i+1) * time.Minute
			got = x.step(in, c.phase, target)
		}
		if got != c.want {
			t.Errorf("%s: %s without a sign, want %s", c.name, got, c.want)
		}
		if got := x.step(seen, control.Engaged, target); got != 0 {
			t.Errorf("%s: %s after the clock went back", c.name, got)
		}
	}
}

// The engine gives a link whose limits outlived their reason a new controller,
// which says so and knows nothing of the capacity; its first budget is small, so
// that nothing floods the link.
func TestNeedlessLimitsBeginAnew(t *testing.T) {
	h := newHost(func(s *Settings) { s.LimitHold = time.Minute }, 2)
	h.run(5*time.Second, nil)
	if h.last.Links[0].Phase != control.Engaged {
		t.Fatalf("not engaged: %+v", h.last.Links)
	}
	k, lk := watchdog.ShaperKey{Link: 2, Direction: watchdog.Rx}, watchdog.LearntKey{Link: "eth0", Direction: watchdog.Rx}
	h.engine.learnt[lk] = 1e5
	old := h.engine.controllers[k]
	step := stepInput(h.snapshot(), watchdog.Outcome{})
	g := &h.engine.groups(step)[0]
	in := h.engine.runController(step, g).in
	in.Delay.Queue, in.Learnt = 0, 1e5
	needless := control.Output{Phase: control.Engaged}
	for _, after := range []time.Duration{0, 59 * time.Second} {
		in := in
		in.Now += after
		if _, held := h.engine.endNeedlessHold(g, in, needless); held != after || h.engine.controllers[k] != old {
			t.Fatalf("held for %s after %s", held, after)
		}
	}
	in.Now += time.Minute
	out, held := h.engine.endNeedlessHold(g, in, needless)
	if held != 0 || h.engine.controllers[k] == old {
		t.Fatal("the controller is still the old one")
	}
	if _, believed := h.engine.learnt[lk]; believed {
		t.Error("the capacity that nothing confirmed is still believed")
	}
	if out.Phase != control.Probing || !strings.Contains(out.Why, "for 1m0s without a sign") {
		t.Errorf("the new one says: %s, %s", out.Phase, out.Why)
	}
	for _, f := range out.Flows {
		if f.Window == 0 {
			t.Errorf("%s is let loose", f.ID)
		}
	}
}
