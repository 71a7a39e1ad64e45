package engine

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

const conf, sess, rem, gate = watchdog.TargetConfigured, watchdog.TargetSession, watchdog.TargetRemembered, watchdog.TargetGateway

// answers is a target on link 2 that answers as over an empty path.
func answers(why watchdog.TargetWhy) watchdog.Path {
	return watchdog.Path{Why: why, Target: netip.MustParseAddr("192.0.2.1"), Link: 2, Answered: true, Known: true,
		RTT: 60 * time.Microsecond, Base: 50 * time.Microsecond}
}

func silentFor(why watchdog.TargetWhy, d time.Duration) watchdog.Path {
	return watchdog.Path{Why: why, Target: netip.MustParseAddr("192.0.2.9"), Link: 2, Answered: true, Silent: d, Base: time.Millisecond}
}

func silent(why watchdog.TargetWhy) watchdog.Path { return silentFor(why, 5*time.Second) }

func never(why watchdog.TargetWhy) watchdog.Path {
	return watchdog.Path{Why: why, Link: 2, Loss: math.NaN()}
}

func TestReach(t *testing.T) {
	const unknown, yes, no = control.ReachUnknown, control.Reachable, control.Unreachable
	for name, c := range map[string]struct {
		paths      []watchdog.Path
		host, link control.Reach
	}{
		"nobody known":                  {nil, unknown, unknown},
		"never answered":                {[]watchdog.Path{never(conf), never(sess)}, unknown, unknown},
		"one answers":                   {[]watchdog.Path{silent(conf), answers(rem)}, yes, yes},
		"all silent":                    {[]watchdog.Path{silent(conf), silent(sess), never(rem)}, no, no},
		"one silent, nobody else":       {[]watchdog.Path{silent(sess)}, unknown, no},
		"one silent, a mute gateway":    {[]watchdog.Path{silent(sess), never(gate)}, unknown, no},
		"one silent, gateway as well":   {[]watchdog.Path{silent(sess), silent(gate)}, no, no},
		"silent but for gateway":        {[]watchdog.Path{silent(sess), answers(gate)}, unknown, no},
		"two peers but for gateway":     {[]watchdog.Path{silent(sess), silent(sess), answers(gate)}, unknown, no},
		"those configured, not gateway": {[]watchdog.Path{silent(conf), silent(conf), answers(gate)}, no, no},
		"one earlier peer silent":       {[]watchdog.Path{silent(rem)}, unknown, unknown},
		"two earlier peers":             {[]watchdog.Path{silent(rem), silent(rem)}, unknown, no},
		"two earlier and the gateway":   {[]watchdog.Path{silent(rem), silent(rem), silent(gate)}, no, no},
		"a gateway is nobody":           {[]watchdog.Path{answers(gate)}, unknown, unknown},
		"a session long dead":           {[]watchdog.Path{silentFor(sess, time.Hour)}, unknown, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			var a targetAnswers
			for i := range c.paths {
				a.add(&c.paths[i], 10*time.Millisecond)
			}
			if host, link := ManagementReach(c.paths), a.management(); host != c.host || link != c.link {
				t.Errorf("host %v, link %v, want %v and %v", host, link, c.host, c.link)
			}
		})
	}
}

// One who is silent alone may be so by intention.
func TestAlone(t *testing.T) {
	for name, c := range map[string]struct {
		paths []watchdog.Path
		want  bool
	}{
		"one session":             {[]watchdog.Path{silent(sess)}, true},
		"and one who went home":   {[]watchdog.Path{silent(sess), silent(rem), answers(gate)}, true},
		"two sessions":            {[]watchdog.Path{silent(sess), silent(sess)}, false},
		"a configured one":        {[]watchdog.Path{silent(conf)}, false},
		"and the gateway as well": {[]watchdog.Path{silent(sess), silent(gate)}, false},
		"two who may be at home":  {[]watchdog.Path{silent(rem), silent(rem)}, true},
	} {
		var a targetAnswers
		for i := range c.paths {
			a.add(&c.paths[i], 10*time.Millisecond)
		}
		if got := a.onePeerOnly(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Who answers as over an empty path shows that the link lets packets through.
func TestPasses(t *testing.T) {
	with := func(change func(*watchdog.Path)) watchdog.Path {
		p := answers(gate)
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		path watchdog.Path
		want bool
	}{
		"a gateway":               {answers(gate), true},
		"a remembered one":        {answers(rem), true},
		"slow always":             {with(func(p *watchdog.Path) { p.RTT, p.Base = 50*time.Millisecond, 50*time.Millisecond }), true},
		"late":                    {with(func(p *watchdog.Path) { p.RTT = 30 * time.Millisecond }), false},
		"base in doubt":           {with(func(p *watchdog.Path) { p.RTT, p.Base, p.Doubt = 50*time.Millisecond, 50*time.Millisecond, true }), false},
		"loses a fifth":           {with(func(p *watchdog.Path) { p.Loss = 0.2 }), false},
		"loss unknown":            {with(func(p *watchdog.Path) { p.Loss = math.NaN() }), true},
		"its answers are overdue": {with(func(p *watchdog.Path) { p.Overdue = true }), false},
		"silent":                  {silent(gate), false},
	} {
		var a targetAnswers
		if a.add(&c.path, 10*time.Millisecond); a.pathClear != c.want {
			t.Errorf("%s: %v", name, a.pathClear)
		}
	}
}

// TestOneAdministratorVanishes: the link is full of rsync, held by limits, and
// the only administrator falls silent. That is told, and nothing is paused.
func TestOneAdministratorVanishes(t *testing.T) {
	for name, others := range map[string][]watchdog.Path{
		"the gateway answers":        {answers(gate)},
		"the gateway answers no one": {never(gate)},
		"nobody else":                nil,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(nil, 4)
			h.paths = append([]watchdog.Path{answers(sess)}, others...)
			h.run(20*time.Second, nil)
			h.paths = append([]watchdog.Path{silent(sess)}, others...)
			h.management, h.blind = ManagementReach(h.paths), true
			h.run(40*time.Second, func(d watchdog.Decision) {
				if d.Links[0].Paused > 0 || d.Links[0].Phase == control.PauseAll {
					t.Fatalf("paused: %+v", d.Links[0])
				}
				if _, ok := standing(d, watchdog.ManagementUnreachable); ok {
					t.Fatalf("management is taken for cut off: %+v", d.Conditions)
				}
			})
			c, ok := standing(h.last, watchdog.ManagementPeerSilent)
			if !ok || c.Severity != watchdog.Warning || c.Subject.String() != "192.0.2.9" || !strings.Contains(c.Evidence, "silent for 5s") {
				t.Fatalf("conditions: %+v", h.last.Conditions)
			}
			if h.last.Links[0].Limited != 4 {
				t.Errorf("limits are let go: %+v", h.last.Links[0])
			}
			h.paths[0] = silentFor(sess, peerGone+time.Second)
			h.run(15*time.Second, nil)
			if _, ok := standing(h.last, watchdog.ManagementPeerSilent); ok {
				t.Errorf("a session long dead still warns: %+v", h.last.Conditions)
			}
		})
	}
}

// TestSilenceThatWarnsOfNothing: who is not logged in, never answered a ping, or
// is back soon.
func TestSilenceThatWarnsOfNothing(t *testing.T) {
	h := newHost(nil, 1)
	see := func(d watchdog.Decision) {
		if c, ok := standing(d, watchdog.ManagementPeerSilent); ok {
			t.Fatalf("%+v", c)
		}
	}
	h.paths = []watchdog.Path{silent(rem), silent(rem), never(sess), answers(gate)}
	h.run(time.Minute, see)
	for range 5 {
		h.paths = []watchdog.Path{silent(sess), answers(gate)}
		h.run(5*time.Second, see)
		h.paths = []watchdog.Path{answers(sess), answers(gate)}
		h.run(12*time.Second, see)
	}
}

// TestShutOutIsCritical: the link shows that rsync keeps the only administrator
// out. What is told is that, and not his silence.
func TestShutOutIsCritical(t *testing.T) {
	h := newHost(nil, 4)
	h.paths = []watchdog.Path{answers(sess)}
	h.run(5*time.Second, nil)
	h.paths = []watchdog.Path{silent(sess)}
	h.management, h.blind, h.dropped = ManagementReach(h.paths), true, 500
	h.run(10*time.Second, nil)
	if c, ok := standing(h.last, watchdog.ManagementUnreachable); !ok || c.Severity != watchdog.Critical || !strings.Contains(c.Evidence, "192.0.2.9") {
		t.Errorf("conditions: %+v", h.last.Conditions)
	}
	if _, ok := standing(h.last, watchdog.ManagementPeerSilent); ok {
		t.Errorf("told twice: %+v", h.last.Conditions)
	}
	if h.last.Links[0].Phase != control.PauseAll {
		t.Errorf("link: %+v", h.last.Links[0])
	}
}

// A target over another link tells nothing of this one.
func TestHearsItsOwnLink(t *testing.T) {
	h := newHost(nil, 1)
	s := h.snapshot()
	there := silent(sess)
	there.Link = 7
	vlan := answers(gate)
	vlan.Link = 3
	s.Links = append(s.Links, watchdog.Link{Index: 3, Name: "eth0.3", Lower: []int{2}})
	s.Paths = []watchdog.Path{there, vlan}
	in := stepInput(s, watchdog.Outcome{})
	got := h.engine.answersOver(in, &group{key: watchdog.ShaperKey{Link: 2, Direction: watchdog.Rx}})
	if got.management() != control.ReachUnknown || !got.pathClear {
		t.Errorf("over eth0: %+v", got)
	}
	if got = h.engine.answersOver(in, &group{key: watchdog.ShaperKey{Link: 0, Direction: watchdog.Rx}}); got.management() != control.Unreachable || !got.pathClear {
		t.Errorf("over an unknown link: %+v", got)
	}
}
