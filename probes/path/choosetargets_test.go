package path

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/watchdog"
)

func addrs(list ...string) []netip.Addr {
	var as []netip.Addr
	for _, s := range list {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

func TestChoose(t *testing.T) {
	session := func(s string, rsync bool) Session { return Session{Peer: netip.MustParseAddr(s), Rsync: rsync} }
	peer := func(s string) Peer { return Peer{Addr: netip.MustParseAddr(s)} }
	for name, c := range map[string]struct {
		evidence targetSources
		want     []string
	}{
		"nothing": {targetSources{}, nil},
		"in order of worth": {
			targetSources{addrs("10.0.0.1"), []Session{session("10.0.0.2", false)}, []Peer{peer("10.0.0.3")}, addrs("10.0.0.254", "fe80::1%eth0")},
			[]string{"10.0.0.1 configured", "10.0.0.2 ssh-session", "10.0.0.3 remembered", "10.0.0.254 gateway", "fe80::1%eth0 gateway"},
		},
		"each once, by its best reason": {
			targetSources{addrs("10.0.0.1", "::ffff:10.0.0.1"), []Session{session("10.0.0.1", false), session("10.0.0.2", false), session("10.0.0.2", false)}, []Peer{peer("10.0.0.2")}, addrs("10.0.0.1")},
			[]string{"10.0.0.1 configured", "10.0.0.2 ssh-session"},
		},
		"no backup clients": {
			targetSources{sessions: []Session{session("10.0.0.2", true), session("10.0.0.2", false), session("10.0.0.3", false)}},
			[]string{"10.0.0.3 ssh-session"},
		},
		"only other hosts": {
			targetSources{configured: append(addrs("127.0.0.1", "::1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"), netip.Addr{})},
			nil,
		},
		"gateways keep their place": {
			targetSources{configured: addrs("10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6", "10.0.0.7"), gateways: addrs("10.0.0.254")},
			[]string{"10.0.0.1 configured", "10.0.0.2 configured", "10.0.0.3 configured", "10.0.0.4 configured", "10.0.0.5 configured", "10.0.0.254 gateway"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range chooseTargets(c.evidence) {
				got = append(got, fmt.Sprintf("%v %s", c.addr, c.why))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRemember(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var peers []Peer
	for i := range 2 * mostRemembered {
		peers = rememberPeer(peers, netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), now.Add(time.Duration(i)*time.Hour))
	}
	if len(peers) != mostRemembered || peers[0].Addr != netip.AddrFrom4([4]byte{10, 0, 0, 2*mostRemembered - 1}) {
		t.Errorf("remembered %v", peers)
	}
	peers = rememberPeer(peers, peers[3].Addr, now.Add(24*time.Hour))
	if len(peers) != mostRemembered {
		t.Errorf("the same peer twice: %v", peers)
	}
	if peers = rememberPeer(peers, admin, now.Add(2*rememberFor)); len(peers) != 1 || peers[0].Addr != admin {
		t.Errorf("who was not seen for long is remembered: %v", peers)
	}
}

func TestMemoryFindsBaseOfSameWayOnly(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var m Memory
	m.put(BaseMemory{Target: admin, Way: way, Base: 3 * ms, Learnt: now})
	m.put(BaseMemory{Target: admin, Way: way, Base: 4 * ms, Learnt: now})
	if len(m.Bases) != 1 {
		t.Errorf("the same way twice: %+v", m.Bases)
	}
	if b, ok := m.find(admin, Way{Link: "eth0", Gateway: gw}, now); !ok || b.Base != 4*ms {
		t.Errorf("unresolved gateway: %+v, %v", b, ok)
	}
	for name, c := range map[string]struct {
		target netip.Addr
		way    Way
		at     time.Time
	}{
		"other target":  {other, way, now},
		"other gateway": {admin, Way{Link: "eth0", Gateway: other, MAC: way.MAC}, now},
		"other MAC":     {admin, Way{Link: "eth0", Gateway: gw, MAC: "02:00:00:00:00:01"}, now},
		"too old":       {admin, way, now.Add(keepBase)},
	} {
		if b, ok := m.find(c.target, c.way, c.at); ok {
			t.Errorf("%s: found %+v", name, b)
		}
	}
	for i := range 2 * mostBases {
		m.put(BaseMemory{Target: netip.AddrFrom4([4]byte{10, 0, 1, byte(i)}), Way: way, Base: ms, Learnt: now})
	}
	if len(m.Bases) != mostBases {
		t.Errorf("%d bases kept", len(m.Bases))
	}
}

func TestPace(t *testing.T) {
	for name, c := range map[string]struct {
		s    situation
		want pace
	}{
		"first requests":         {situation{}, pace{every: doubtEvery, wait: leastWait}},
		"never answered":         {situation{fast: true, tries: firstTries}, pace{every: neverAnsweredEvery, wait: leastWait}},
		"idle":                   {situation{heard: true, primary: true}, pace{every: idleEvery, wait: leastWait}},
		"idle, second":           {situation{heard: true}, pace{every: idleSecond, wait: leastWait}},
		"idle, second, a queue":  {situation{heard: true, high: true}, pace{every: doubtEvery, wait: leastWait}},
		"transfers begin":        {situation{heard: true, fast: true, primary: true, sprint: true}, pace{every: sprintEvery}},
		"transfers begin second": {situation{heard: true, fast: true, sprint: true}, pace{every: steadyEvery}},
		"queue stands":           {situation{heard: true, fast: true, primary: true, high: true}, pace{every: closeEvery}},
		"steady":                 {situation{heard: true, fast: true, primary: true}, pace{every: steadyEvery}},
		"steady for long":        {situation{heard: true, fast: true, primary: true, calm: true}, pace{every: calmEvery}},
		"calm ends":              {situation{heard: true, fast: true, primary: true, high: true, calm: true}, pace{every: closeEvery}},
		"steady, second":         {situation{heard: true, fast: true}, pace{every: secondEvery}},
		"fell silent":            {situation{heard: true, fast: true, primary: true, silence: time.Second}, pace{every: doubtEvery, wait: leastWait}},
		"silent for long":        {situation{heard: true, fast: true, silence: time.Hour}, pace{every: idleSecond, wait: leastWait}},
		"a slow path":            {situation{heard: true, primary: true, slowest: 700 * ms}, pace{every: idleEvery, wait: 2100 * ms}},
		"a very slow path":       {situation{heard: true, primary: true, slowest: time.Minute}, pace{every: idleEvery, wait: mostWait}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.s.pace(), cmp.AllowUnexported(pace{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// only is a link with nothing over it.
func only(link int) Over { return func(l int) bool { return l == link } }

func TestLinkDelay(t *testing.T) {
	p := func(link int, base, rtt time.Duration) watchdog.Path {
		return watchdog.Path{Link: link, Base: base, RTT: rtt, Known: true, Delay: true, Answered: true}
	}
	with := func(p watchdog.Path, f func(*watchdog.Path)) watchdog.Path { f(&p); return p }
	unproven := func(p watchdog.Path) watchdog.Path { p.Unproven = true; return p }
	passive := Passive{Queue: 30 * ms, Base: ms, Known: true}
	for name, c := range map[string]struct {
		paths   []watchdog.Path
		passive Passive
		want    string
	}{
		"nothing":                             {nil, Passive{}, "unknown"},
		"the least":                           {[]watchdog.Path{p(2, ms, 21*ms), p(2, 10*ms, 15*ms), p(3, ms, ms)}, passive, "5ms over 10ms"},
		"below base":                          {[]watchdog.Path{p(2, 10*ms, 9*ms)}, passive, "0s over 10ms"},
		"passive":                             {[]watchdog.Path{p(3, ms, ms)}, passive, "passive 30ms over 1ms"},
		"not known":                           {[]watchdog.Path{with(p(2, ms, ms), func(p *watchdog.Path) { p.Known = false })}, Passive{}, "unknown"},
		"not for delay":                       {[]watchdog.Path{with(p(2, ms, ms), func(p *watchdog.Path) { p.Delay = false })}, Passive{}, "unknown"},
		"a gateway alone, at night":           {[]watchdog.Path{unproven(p(2, ms, 4*ms))}, Passive{}, "3ms over 1ms"},
		"an unproven gateway yields":          {[]watchdog.Path{unproven(p(2, ms, ms)), p(2, ms, 31*ms)}, Passive{}, "30ms over 1ms"},
		"it may be on this side of the queue": {[]watchdog.Path{unproven(p(2, ms, ms))}, passive, "passive 30ms over 1ms"},
		"it shows about as much":              {[]watchdog.Path{unproven(p(2, ms, 21*ms))}, passive, "20ms over 1ms"},
		"silent":                              {[]watchdog.Path{with(p(2, ms, ms), func(p *watchdog.Path) { p.Silent = 1 })}, Passive{}, "unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			d := LinkDelay(only(2), c.paths, c.passive)
			got := "unknown"
			if d.Known {
				got = fmt.Sprintf("%v over %v", d.Queue, d.Base)
			}
			if d.Passive {
				got = "passive " + got
			}
			if got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if d := LinkDelay(only(0), []watchdog.Path{p(0, ms, 50*ms)}, Passive{}); d.Known {
		t.Error("the unknown link has a delay")
	}
}

// What the age of a request says and what the transfers send again goes with the
// link's delay.
func TestLinkDelayTellsHowItIsKnown(t *testing.T) {
	p := watchdog.Path{Link: 2, Known: true, Delay: true, RTT: 900 * ms, Base: ms, Overdue: true}
	if d := LinkDelay(only(2), []watchdog.Path{p}, Passive{Retrans: 7}); !d.Overdue || d.Retrans != 7 {
		t.Errorf("%+v", d)
	}
	p.Overdue = false
	if d := LinkDelay(only(2), []watchdog.Path{p}, Passive{}); d.Overdue || d.Retrans != 0 {
		t.Errorf("%+v", d)
	}
}
