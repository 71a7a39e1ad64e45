package watchdog

import (
	"strings"
	"testing"
	"time"

	"lifeline/watchdog/control"
)

// Limits that hold the transfers while nothing says that the link needs them end
// after their longest hold, and no sooner; those that a full link justifies
// stand for ever.
func TestLimitsAreJustifiedAnew(t *testing.T) {
	held := control.Output{Phase: control.Engaged}
	full := control.Output{Phase: control.Engaged, Saturated: true}
	for _, c := range []struct {
		name  string
		outs  []control.Output // a minute each
		gapAt int
		want  time.Duration
	}{
		{"held for nothing", []control.Output{held, held, held, held}, -1, 3 * time.Minute},
		{"full all the time", []control.Output{full, full, full, full}, -1, 0},
		{"full again in between", []control.Output{held, held, full, held, held}, -1, time.Minute},
		{"still trying", []control.Output{held, {Phase: control.Probing}, held}, -1, 0},
		{"lifted", []control.Output{held, {Phase: control.Backoff}}, -1, 0},
		{"a suspend says nothing", []control.Output{held, held, held}, 1, 0},
	} {
		var x tenure
		var got time.Duration
		for i, o := range c.outs {
			got = x.step(time.Duration(i+1)*time.Minute, i == c.gapAt, o)
		}
		if got != c.want {
			t.Errorf("%s: %s without a sign, want %s", c.name, got, c.want)
		}
		if got := x.step(0, false, held); got != 0 {
			t.Errorf("%s: %s after the clock went back", c.name, got)
		}
	}
}

// The engine gives a link whose limits outlived their reason a new controller,
// which says so; its first budget is small, so that nothing floods the link.
func TestNeedlessLimitsBeginAnew(t *testing.T) {
	h := newHost(func(s *Settings) { s.LimitHold = time.Minute }, 2)
	h.run(5*time.Second, nil)
	if h.last.Links[0].Phase != control.Engaged {
		t.Fatalf("not engaged: %+v", h.last.Links)
	}
	k := ShaperKey{2, Rx}
	old := h.engine.controllers[k]
	g := h.engine.groups(h.snapshot(), newLinkIndex(h.snapshot().Links))[0]
	in := h.engine.judge(h.snapshot(), g, Outcome{}).in
	ls := h.engine.settingsOf(g)
	needless := control.Output{Phase: control.Engaged}
	if _, held := h.engine.justify(k, ls, in, needless); held != 0 || h.engine.controllers[k] != old {
		t.Fatalf("at once after %s", held)
	}
	in.Now += 59 * time.Second
	if _, held := h.engine.justify(k, ls, in, needless); held != 59*time.Second || h.engine.controllers[k] != old {
		t.Fatalf("too soon, after %s", held)
	}
	in.Now += time.Second
	out, held := h.engine.justify(k, ls, in, needless)
	if held != 0 || h.engine.controllers[k] == old {
		t.Fatal("the controller is still the old one")
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
