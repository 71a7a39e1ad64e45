package engine

import (
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// TestWishes asks for a rate of a transfer that comes in, wherever it may be.
func TestWishes(t *testing.T) {
	auto := func(s *Settings) { s.Link = func(...string) LinkSettings { return LinkSettings{} } }
	off := func(s *Settings) {
		s.Link = func(...string) LinkSettings { return LinkSettings{Mode: [2]Mode{ModeOff, ModeOff}} }
	}
	foreign := func(s *Settings) { auto(s); s.ForeignNetns = true }
	for _, c := range []struct {
		name string
		set  func(*Settings)
		but  func(*watchdog.Transfer)
		rate float64
		held float64
		why  string
	}{
		{"auto", auto, nil, 2 * mbit, 2 * mbit, ""},
		{"less than keeps it alive", auto, nil, 1, minClassRate, ""},
		{"socket", nil, nil, 2 * mbit, 0, `ingress = "socket"`},
		{"off", off, nil, 2 * mbit, 0, `ingress = "off"`},
		{"a person's session", auto, func(x *watchdog.Transfer) { x.Control, x.Why = watchdog.ControlPauseOnly, "carries a person" }, 2 * mbit, 0, "carries a person"},
		{"foreign", auto, func(x *watchdog.Transfer) { x.Foreign = true }, 2 * mbit, 0, "foreign_netns is not set"},
		{"foreign and limited", foreign, func(x *watchdog.Transfer) { x.Foreign = true }, 2 * mbit, 0, "another network namespace"},
		{"no link", auto, func(x *watchdog.Transfer) { x.Link = 0 }, 2 * mbit, 0, "link"},
		{"goes out", auto, func(x *watchdog.Transfer) { x.Direction = watchdog.Tx }, 2 * mbit, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(c.set, 2)
			if c.but != nil {
				c.but(&h.transfers[0])
			}
			h.engine.Pin("a", control.Pin{Rate: c.rate})
			h.run(2*time.Second, nil)
			w, ok := h.last.RateRequests["a"]
			if !ok || w.Rate != c.rate || len(h.last.RateRequests) != 1 || !strings.Contains(w.Why, c.why) || (w.Why == "") != (c.why == "") {
				t.Errorf("wishes: %+v, want one of %g, why %q", h.last.RateRequests, c.rate, c.why)
			}
			l := h.last.Desired.Limits["a"]
			if l.Rate != c.held || h.last.Desired.Limits["b"].Rate != 0 {
				t.Errorf("limits: %+v", h.last.Desired.Limits)
			}
			if c.held > 0 && l.Window < minClassSegments*1460 {
				t.Errorf("window of %d bytes", l.Window)
			}
			h.engine.Pin("a", control.Pin{})
			h.run(2*time.Second, nil)
			if len(h.last.RateRequests) != 0 || h.last.Desired.Limits["a"].Rate != 0 {
				t.Errorf("after it was taken back: %+v, %+v", h.last.RateRequests, h.last.Desired.Limits["a"])
			}
		})
	}
}

// TestHeldWindow: what may wait in a class is 10 ms at its rate, and the window alone
// holds a receiver that has no class, or one on a link that has a queue.
func TestHeldWindow(t *testing.T) {
	h := newHost(func(s *Settings) { s.Link = func(...string) LinkSettings { return LinkSettings{} } }, 1)
	h.engine.Pin("a", control.Pin{Rate: 10 * mbit})
	stands := watchdog.Outcome{}
	s := h.snapshot()
	d := h.engine.Step(s, stands)
	if l := d.Desired.Limits["a"]; l.Window > 4000 || l.Rate != 10*mbit {
		t.Errorf("on a link that has a queue: %+v", l)
	}
	s.Mono += 100 * time.Millisecond
	s.Links[0].Delay[watchdog.Rx].Queue = 0
	d = h.engine.Step(s, stands)
	if w := d.Desired.Limits["a"].Window; w != 12750 { // 1.25 MB/s for 10.2 ms
		t.Errorf("window of %d bytes", w)
	}
	stands.Unheld = map[watchdog.TransferID]string{"a": "no ifb"}
	s.Mono += 100 * time.Millisecond
	d = h.engine.Step(s, stands)
	if l := d.Desired.Limits["a"]; l.Window > 4000 || l.Rate != 10*mbit {
		t.Errorf("without a class: %+v", l)
	}
}
