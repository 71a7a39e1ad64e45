package engine

import (
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

const mbit = 1e6 / 8 // bytes/s

// host is a simple host for the engine: one link, some transfers that fill it,
// and a queue that goes away as soon as they are limited.
type host struct {
	engine     *Engine
	now        time.Duration
	transfers  []watchdog.Transfer
	queue      time.Duration // while nothing is limited
	management control.Reach
	last       watchdog.Decision
	paths      []watchdog.Path // in place of one silent target
	blind      bool            // the link's delay is not known
	toothless  bool            // no limit takes
	stubborn   bool            // the queue stays whatever is decided
	slow       time.Duration   // for how long it stays at first
	dropped    float64         // packets/s that the link drops
}

func newHost(set func(*Settings), n int) *host {
	s := Settings{
		Link:     func(...string) LinkSettings { return LinkSettings{Mode: [2]Mode{ModeSocket, ModeSocket}} },
		Share:    control.ShareEqual,
		Target:   5 * time.Millisecond,
		Engage:   10 * time.Millisecond,
		Pause:    true,
		IdleTick: time.Second,
	}
	if set != nil {
		set(&s)
	}
	h := &host{engine: New(s, nil), queue: 150 * time.Millisecond, management: control.Reachable}
	for i := range n {
		h.transfers = append(h.transfers, watchdog.Transfer{
			ID: watchdog.TransferID(rune('a' + i)), Direction: watchdog.Rx, Via: watchdog.ViaDaemon, Link: 2, Control: watchdog.ControlFull,
			Rate: 100 * mbit / float64(n), File: watchdog.File{Pos: -1, Size: -1},
			TCP: watchdog.TCP{Known: true, MSS: 1460, RcvWscale: 7, RTT: 150 * time.Millisecond, MinRTT: 200 * time.Microsecond},
		})
	}
	return h
}

func (h *host) snapshot() watchdog.Snapshot {
	q := h.queue
	if h.last.Active() && !h.stubborn && h.now >= h.slow {
		q = 2 * time.Millisecond
	}
	if len(h.transfers) == 0 {
		q = 0
	}
	paths := h.paths
	if paths == nil {
		paths = []watchdog.Path{{Target: netip.MustParseAddr("192.0.2.9"), Why: watchdog.TargetSession, Link: 2, Loss: math.NaN()}}
	}
	return watchdog.Snapshot{
		Mono: h.now, Wall: time.Unix(1000, 0).Add(h.now), Management: h.management, Transfers: h.transfers,
		Links: []watchdog.Link{{
			Index: 2, Name: "eth0", Kind: "device", Up: true, Carrier: true,
			Rates: [2]watchdog.Rates{{Known: true, Bytes: 100 * mbit, Dropped: h.dropped}, {Known: true, Bytes: mbit}},
			Delay: [2]watchdog.LinkDelay{
				{Queue: q, Base: 200 * time.Microsecond, Known: !h.blind},
				{Queue: q, Base: 200 * time.Microsecond, Known: !h.blind},
			},
		}},
		Paths: paths,
	}
}

// run steps for a while and gives every decision to see.
func (h *host) run(d time.Duration, see func(watchdog.Decision)) {
	for end := h.now + d; h.now < end; {
		var stands watchdog.Outcome
		if !h.toothless {
			stands.Limits = h.last.Desired.Limits
		}
		h.last = h.engine.Step(h.snapshot(), stands)
		if see != nil {
			see(h.last)
		}
		h.now += max(10*time.Millisecond, h.last.Tick)
	}
}

// stepInput is what Step makes of its arguments.
func stepInput(s watchdog.Snapshot, stands watchdog.Outcome) input {
	return input{&s, watchdog.NewLinkIndex(s.Links), stands}
}

func standing(d watchdog.Decision, name watchdog.ConditionName) (watchdog.Condition, bool) {
	for _, c := range d.Conditions {
		if c.Name == name {
			return c, true
		}
	}
	return watchdog.Condition{}, false
}

func TestEngineLimitsEveryReceiver(t *testing.T) {
	h := newHost(nil, 4)
	h.run(5*time.Second, nil)
	for _, tr := range h.transfers {
		l := h.last.Desired.Limits[tr.ID]
		if l.Window < windowFloor(tr.TCP) || l.Pacing != 0 || l.Pause {
			t.Errorf("transfer %s: %+v, want a window of at least %d", tr.ID, l, windowFloor(tr.TCP))
		}
	}
	if len(h.last.Links) != 1 || h.last.Links[0].Limited != 4 {
		t.Errorf("link states: %+v", h.last.Links)
	}
}

// A transfer whose connection carries a person, or that cannot be reached, is
// never limited; one that must not stop is never paused.
func TestEngineKeepsItsHandsOff(t *testing.T) {
	h := newHost(func(s *Settings) { s.MaxRunning = 1 }, 4)
	h.transfers[0].Control = watchdog.ControlPauseOnly
	h.transfers[1].Control = watchdog.ControlNone
	h.transfers[2].Control = watchdog.ControlLimitOnly
	h.transfers[3].Foreign = true
	h.run(20*time.Second, func(d watchdog.Decision) {
		a, b, c := d.Desired.Limits["a"], d.Desired.Limits["b"], d.Desired.Limits["c"]
		if a.Window != 0 || a.Pacing != 0 || a.Shape {
			t.Fatalf("a shared connection is limited: %+v", a)
		}
		if b != (watchdog.Limit{}) {
			t.Fatalf("a transfer out of reach is touched: %+v", b)
		}
		if c.Pause {
			t.Fatalf("a client is paused: %+v", c)
		}
		if l, ok := d.Desired.Limits["d"]; ok {
			t.Fatalf("a transfer of another namespace is touched: %+v", l)
		}
	})
	if c, ok := standing(h.last, watchdog.Unprotected); !ok {
		t.Errorf("not reported as unprotected: %+v", h.last.Conditions)
	} else if c.Evidence == "" {
		t.Error("no evidence")
	}
}

func TestEngineOff(t *testing.T) {
	h := newHost(func(s *Settings) {
		s.Link = func(...string) LinkSettings { return LinkSettings{Mode: [2]Mode{ModeOff, ModeOff}} }
	}, 8)
	h.run(10*time.Second, func(d watchdog.Decision) {
		if d.Active() {
			t.Fatalf("acts on a link that is off: %+v", d.Desired)
		}
	})
}

func TestEngineLetsGoWhenTransfersEnd(t *testing.T) {
	h := newHost(nil, 4)
	h.run(5*time.Second, nil)
	h.transfers = nil
	h.run(30*time.Second, nil)
	if h.last.Active() || len(h.engine.controllers) != 0 || h.last.Tick != time.Second {
		t.Errorf("after the end: %+v, %d controllers, tick %s", h.last.Desired, len(h.engine.controllers), h.last.Tick)
	}
	h.run(time.Minute, nil)
	if len(h.last.Conditions) != 0 {
		t.Errorf("conditions after the end: %+v", h.last.Conditions)
	}
}

func TestEnginePins(t *testing.T) {
	h := newHost(nil, 2)
	h.engine.Pin("a", control.Pin{Pause: true})
	h.engine.Pin("b", control.Pin{Rate: 2 * mbit})
	h.run(5*time.Second, nil)
	if !h.last.Desired.Limits["a"].Pause {
		t.Errorf("a pinned pause is not kept: %+v", h.last.Desired.Limits["a"])
	}
	if l := h.last.Desired.Limits["b"]; l.Window == 0 && l.Pacing == 0 {
		t.Errorf("a pinned rate is not kept: %+v", l)
	}
	h.engine.Pin("a", control.Pin{})
	h.run(2*time.Second, nil)
	if h.last.Desired.Limits["a"].Pause {
		t.Error("still paused after the wish was taken back")
	}
	h.transfers = h.transfers[1:]
	h.run(time.Second, nil)
	if len(h.engine.pins) != 1 {
		t.Errorf("%d pins are kept, want that of the living", len(h.engine.pins))
	}
}

func TestEngineConditions(t *testing.T) {
	h := newHost(nil, 2)
	h.management = control.Unreachable
	h.run(5*time.Second, nil)
	if c, ok := standing(h.last, watchdog.ManagementUnreachable); !ok || c.Severity != watchdog.Critical {
		t.Errorf("conditions: %+v", h.last.Conditions)
	}
	s := h.snapshot()
	s.Errors = []watchdog.ProbeError{{Probe: "nic", Err: "no permission"}}
	s.Mono += time.Second
	for range 10 {
		s.Mono += time.Second
		h.last = h.engine.Step(s, watchdog.Outcome{Failed: []watchdog.Failure{
			{Remedy: "shaper", Target: "x", Err: "no", Instead: "socket options"}, {Remedy: "window", Target: "b", Err: "too", Instead: "pauses"},
			{Remedy: "window", Target: "a", Err: "gone wrong"}}})
	}
	if c, ok := standing(h.last, watchdog.ProbeBlind); !ok || c.Subject != watchdog.ProbeSubject("nic") || c.Evidence != "no permission" {
		t.Errorf("probe error: %+v", h.last.Conditions)
	}
	for _, want := range []watchdog.Condition{
		{Subject: watchdog.RemedySubject("shaper"), Severity: watchdog.Warning, Evidence: "x: no; meanwhile socket options"},
		{Subject: watchdog.RemedySubject("window"), Severity: watchdog.Critical, Evidence: "a: gone wrong (and 1 more)"},
	} {
		if !slices.ContainsFunc(h.last.Conditions, func(c watchdog.Condition) bool {
			return c.Name == watchdog.RemedyFailed && c.Subject == want.Subject && c.Severity == want.Severity && c.Evidence == want.Evidence
		}) {
			t.Errorf("no failure %+v among %+v", want, h.last.Conditions)
		}
	}
}

// Nothing rests on the softnet probe, so its failure alone blinds nobody.
func TestSoftnetAloneBlindsNobody(t *testing.T) {
	h := newHost(nil, 1)
	for _, c := range []struct {
		failed []watchdog.ProbeName
		blind  []watchdog.Subject
	}{
		{[]watchdog.ProbeName{watchdog.ProbeSoftnet}, nil},
		{[]watchdog.ProbeName{watchdog.ProbeSoftnet, watchdog.ProbePath}, []watchdog.Subject{watchdog.ProbeSubject(watchdog.ProbePath)}},
	} {
		for range 10 { // beyond the hysteresis
			s := h.snapshot()
			for _, p := range c.failed {
				s.Errors = append(s.Errors, watchdog.ProbeError{Probe: p, Err: "no such file"})
			}
			h.last = h.engine.Step(s, watchdog.Outcome{})
			h.now += time.Second
		}
		var blind []watchdog.Subject
		for _, x := range h.last.Conditions {
			if x.Name == watchdog.ProbeBlind {
				blind = append(blind, x.Subject)
			}
		}
		if !slices.Equal(blind, c.blind) {
			t.Errorf("where %v failed: blind are %v, want %v", c.failed, blind, c.blind)
		}
	}
}

// Several links over one NIC share its budget: one controller.
func TestGroupsShareThePhysicalLink(t *testing.T) {
	h := newHost(nil, 4)
	for i := range h.transfers {
		h.transfers[i].Link = 3 + i%2 // two VLANs on eth0
	}
	s := h.snapshot()
	s.Links = append(s.Links, watchdog.Link{Index: 3, Name: "eth0.3", Lower: []int{2}}, watchdog.Link{Index: 4, Name: "eth0.4", Lower: []int{2}})
	d := h.engine.Step(s, watchdog.Outcome{})
	if len(d.Links) != 1 || d.Links[0].Name != "eth0" || d.Links[0].Transfers != 4 {
		t.Errorf("links: %+v", d.Links)
	}
	if p := watchdog.NewLinkIndex(s.Links).Physical; p(3) != 2 || p(4) != 2 || p(2) != 2 || p(9) != 9 {
		t.Errorf("beneath 3, 4, 2 and 9: %d, %d, %d, %d", p(3), p(4), p(2), p(9))
	}
	gs := h.engine.groups(stepInput(s, watchdog.Outcome{}))
	if len(gs) != 1 || gs[0].oneRoute {
		t.Errorf("groups: %+v, want one without a shaper", gs)
	}
}

// Links that point at each other, or at nothing, cannot hold the engine.
func TestPhysicalIsBounded(t *testing.T) {
	x := watchdog.NewLinkIndex([]watchdog.Link{{Index: 1, Lower: []int{2}}, {Index: 2, Lower: []int{1}}, {Index: 3, Lower: []int{9}}, {Index: 4, Lower: []int{1, 3}}})
	for _, i := range []int{1, 2, 3, 4, 5} {
		x.Physical(i)
	}
	if x.Physical(3) != 3 || x.Physical(4) != 4 || x.Physical(77) != 77 {
		t.Error("a link without a known lower one is its own")
	}
}

func TestWindowFloor(t *testing.T) {
	for _, tc := range []struct {
		tcp  watchdog.TCP
		want int64
	}{
		{watchdog.TCP{}, 2920}, {watchdog.TCP{MSS: 8948}, 17896}, {watchdog.TCP{MSS: 1460, RcvWscale: 14}, 1 << 14}, {watchdog.TCP{MSS: 1460, RcvWscale: 200}, 1 << 14},
	} {
		if got := windowFloor(tc.tcp); got != tc.want {
			t.Errorf("%+v: %d, want %d", tc.tcp, got, tc.want)
		}
	}
}

func BenchmarkEngineStep(b *testing.B) {
	h := newHost(nil, 16)
	h.run(2*time.Second, nil)
	b.ReportAllocs()
	for b.Loop() {
		h.last = h.engine.Step(h.snapshot(), watchdog.Outcome{Limits: h.last.Desired.Limits})
		h.now += 100 * time.Millisecond
	}
}
