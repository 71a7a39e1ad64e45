package watchdog

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog/control"
)

const conf, sess, rem, gate = TargetConfigured, TargetSession, TargetRemembered, TargetGateway

// answers is a target on link 2 that answers as over an empty path.
func answers(why TargetWhy) Path {
	return Path{Why: why, Target: netip.MustParseAddr("192.0.2.1"), Link: 2, Answered: true, Known: true,
		RTT: 60 * time.Microsecond, Base: 50 * time.Microsecond}
}

func silentFor(why TargetWhy, d time.Duration) Path {
	return Path{Why: why, Target: netip.MustParseAddr("192.0.2.9"), Link: 2, Answered: true, Silent: d, Base: time.Millisecond}
}

func silent(why TargetWhy) Path { return silentFor(why, 5*time.Second) }

func never(why TargetWhy) Path { return Path{Why: why, Link: 2, Loss: math.NaN()} }

func TestReach(t *testing.T) {
	const unknown, yes, no = control.ReachUnknown, control.Reachable, control.Unreachable
	for name, c := range map[string]struct {
		paths      []Path
		host, link control.Reach
	}{
		"nobody known":                  {nil, unknown, unknown},
		"never answered":                {[]Path{never(conf), never(sess)}, unknown, unknown},
		"one answers":                   {[]Path{silent(conf), answers(rem)}, yes, yes},
		"all silent":                    {[]Path{silent(conf), silent(sess), never(rem)}, no, no},
		"one silent, nobody else":       {[]Path{silent(sess)}, unknown, no},
		"one silent, a mute gateway":    {[]Path{silent(sess), never(gate)}, unknown, no},
		"one silent, gateway as well":   {[]Path{silent(sess), silent(gate)}, no, no},
		"silent but for gateway":        {[]Path{silent(sess), answers(gate)}, unknown, no},
		"two peers but for gateway":     {[]Path{silent(sess), silent(sess), answers(gate)}, unknown, no},
		"those configured, not gateway": {[]Path{silent(conf), silent(conf), answers(gate)}, no, no},
		"one earlier peer silent":       {[]Path{silent(rem)}, unknown, unknown},
		"two earlier peers":             {[]Path{silent(rem), silent(rem)}, unknown, no},
		"two earlier and the gateway":   {[]Path{silent(rem), silent(rem), silent(gate)}, no, no},
		"a gateway is nobody":           {[]Path{answers(gate)}, unknown, unknown},
		"a session long dead":           {[]Path{silentFor(sess, time.Hour)}, unknown, unknown},
	} {
		t.Run(name, func(t *testing.T) {
			var h heard
			for i := range c.paths {
				h.take(&c.paths[i], 10*time.Millisecond)
			}
			if host, link := Reach(c.paths), h.management(); host != c.host || link != c.link {
				t.Errorf("host %v, link %v, want %v and %v", host, link, c.host, c.link)
			}
		})
	}
}

// One who is silent alone may be so by intention.
func TestAlone(t *testing.T) {
	for name, c := range map[string]struct {
		paths []Path
		want  bool
	}{
		"one session":             {[]Path{silent(sess)}, true},
		"and one who went home":   {[]Path{silent(sess), silent(rem), answers(gate)}, true},
		"two sessions":            {[]Path{silent(sess), silent(sess)}, false},
		"a configured one":        {[]Path{silent(conf)}, false},
		"and the gateway as well": {[]Path{silent(sess), silent(gate)}, false},
		"two who may be at home":  {[]Path{silent(rem), silent(rem)}, true},
	} {
		var h heard
		for i := range c.paths {
			h.take(&c.paths[i], 10*time.Millisecond)
		}
		if got := h.alone(); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Who answers as over an empty path shows that the link lets packets through.
func TestPasses(t *testing.T) {
	with := func(change func(*Path)) Path {
		p := answers(gate)
		change(&p)
		return p
	}
	for name, c := range map[string]struct {
		path Path
		want bool
	}{
		"a gateway":               {answers(gate), true},
		"a remembered one":        {answers(rem), true},
		"slow always":             {with(func(p *Path) { p.RTT, p.Base = 50*time.Millisecond, 50*time.Millisecond }), true},
		"late":                    {with(func(p *Path) { p.RTT = 30 * time.Millisecond }), false},
		"base in doubt":           {with(func(p *Path) { p.RTT, p.Base, p.Doubt = 50*time.Millisecond, 50*time.Millisecond, true }), false},
		"loses a fifth":           {with(func(p *Path) { p.Loss = 0.2 }), false},
		"loss unknown":            {with(func(p *Path) { p.Loss = math.NaN() }), true},
		"its answers are overdue": {with(func(p *Path) { p.Overdue = true }), false},
		"silent":                  {silent(gate), false},
	} {
		var h heard
		if h.take(&c.path, 10*time.Millisecond); h.passes != c.want {
			t.Errorf("%s: %v", name, h.passes)
		}
	}
}

// TestOneAdministratorVanishes: the link is full of rsync, held by limits, and
// the only administrator falls silent. That is told, and nothing is paused.
func TestOneAdministratorVanishes(t *testing.T) {
	for name, others := range map[string][]Path{
		"the gateway answers":        {answers(gate)},
		"the gateway answers no one": {never(gate)},
		"nobody else":                nil,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(nil, 4)
			h.paths = append([]Path{answers(sess)}, others...)
			h.run(20*time.Second, nil)
			h.paths = append([]Path{silent(sess)}, others...)
			h.management, h.blind = Reach(h.paths), true
			h.run(40*time.Second, func(d Decision) {
				if d.Links[0].Paused > 0 || d.Links[0].Phase == control.PauseAll {
					t.Fatalf("paused: %+v", d.Links[0])
				}
				if _, ok := standing(d, ManagementUnreachable); ok {
					t.Fatalf("management is taken for cut off: %+v", d.Conditions)
				}
			})
			c, ok := standing(h.last, ManagementPeerSilent)
			if !ok || c.Severity != Warning || c.Subject != "192.0.2.9" || !strings.Contains(c.Evidence, "silent for 5s") {
				t.Fatalf("conditions: %+v", h.last.Conditions)
			}
			if h.last.Links[0].Limited != 4 {
				t.Errorf("limits are let go: %+v", h.last.Links[0])
			}
			h.paths[0] = silentFor(sess, peerGone+time.Second)
			h.run(15*time.Second, nil)
			if _, ok := standing(h.last, ManagementPeerSilent); ok {
				t.Errorf("a session long dead still warns: %+v", h.last.Conditions)
			}
		})
	}
}

// TestSilenceThatWarnsOfNothing: who is not logged in, never answered a ping, or
// is back soon.
func TestSilenceThatWarnsOfNothing(t *testing.T) {
	h := newHost(nil, 1)
	see := func(d Decision) {
		if c, ok := standing(d, ManagementPeerSilent); ok {
			t.Fatalf("%+v", c)
		}
	}
	h.paths = []Path{silent(rem), silent(rem), never(sess), answers(gate)}
	h.run(time.Minute, see)
	for range 5 {
		h.paths = []Path{silent(sess), answers(gate)}
		h.run(5*time.Second, see)
		h.paths = []Path{answers(sess), answers(gate)}
		h.run(12*time.Second, see)
	}
}

// TestShutOutIsCritical: the link shows that rsync keeps the only administrator
// out. What is told is that, and not his silence.
func TestShutOutIsCritical(t *testing.T) {
	h := newHost(nil, 4)
	h.paths = []Path{answers(sess)}
	h.run(5*time.Second, nil)
	h.paths = []Path{silent(sess)}
	h.management, h.blind, h.dropped = Reach(h.paths), true, 500
	h.run(10*time.Second, nil)
	if c, ok := standing(h.last, ManagementUnreachable); !ok || c.Severity != Critical || !strings.Contains(c.Evidence, "192.0.2.9") {
		t.Errorf("conditions: %+v", h.last.Conditions)
	}
	if _, ok := standing(h.last, ManagementPeerSilent); ok {
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
	s.Links = append(s.Links, Link{Index: 3, Name: "eth0.3", Lower: []int{2}})
	s.Paths = []Path{there, vlan}
	links := newLinkIndex(s.Links)
	got := h.engine.hear(&s, &group{key: ShaperKey{2, Rx}}, links)
	if got.management() != control.ReachUnknown || !got.passes {
		t.Errorf("over eth0: %+v", got)
	}
	if got = h.engine.hear(&s, &group{key: ShaperKey{0, Rx}}, links); got.management() != control.Unreachable || !got.passes {
		t.Errorf("over an unknown link: %+v", got)
	}
}
