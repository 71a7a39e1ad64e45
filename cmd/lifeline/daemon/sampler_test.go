package daemon

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"lifeline/probes/path"
	"lifeline/probes/rsync/discovery"
	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// fakeHost is a host whose probes answer what it holds. It notes how it is asked.
type fakeHost struct {
	transfers []watchdog.Transfer
	links     []watchdog.Link
	paths     []watchdog.Path
	blind     []string // probes that fail
	changed   bool     // the list of transfers, in the next sample
	calls     []string
}

func (f *fakeHost) note(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

// String lists the calls since the last one, one a line.
func (f *fakeHost) String() string {
	defer func() { f.calls = nil }()
	return strings.Join(f.calls, "\n")
}

func (f *fakeHost) errs(probe string) []watchdog.ProbeError {
	f.note("sample %s", probe)
	if !slices.Contains(f.blind, probe) {
		return nil
	}
	return []watchdog.ProbeError{{Probe: watchdog.ProbeName(probe), Err: "denied"}}
}

// The probes of a fakeHost.
type (
	fakeTransfers   struct{ *fakeHost }
	fakeLinks       struct{ *fakeHost }
	fakeSoftnet     struct{ *fakeHost }
	fakeDescriptors struct{ *fakeHost }
	fakePaths       struct{ *fakeHost }
)

func (f fakeTransfers) Sample(_ time.Duration, limitsMove bool) ([]watchdog.Transfer, bool, []watchdog.ProbeError) {
	f.note("limits move %v", limitsMove)
	changed := f.changed
	f.changed = false
	return f.transfers, changed, f.errs("rsync")
}
func (f fakeTransfers) Sessions() []discovery.Session {
	f.note("look for sessions")
	return []discovery.Session{{Peer: netip.MustParseAddr("192.0.2.9")}}
}

func (f fakeLinks) Sample(time.Duration) ([]watchdog.Link, []watchdog.ProbeError) {
	return f.links, f.errs("nic")
}

func (f fakeSoftnet) Sample(time.Duration) (watchdog.Softnet, []watchdog.ProbeError) {
	return watchdog.Softnet{}, f.errs("softnet")
}

func (f fakeDescriptors) Sample(time.Duration) []watchdog.ProbeError { return f.errs("descriptors") }

func (f fakePaths) Sample(_ time.Duration, g path.Guide) ([]watchdog.Path, []watchdog.ProbeError) {
	f.note("mode %d, idle %v, over NICs %d %d, targets %v, sessions %d", g.Mode, g.Idle, g.NIC(2), g.NIC(3), g.Configured, len(g.Sessions))
	return f.paths, f.errs("path")
}
func (f fakePaths) Contradict(a netip.Addr) { f.note("contradict %s", a) }
func (f fakePaths) Refuse(a netip.Addr)     { f.note("refuse %s", a) }
func (f fakePaths) Doubt(a netip.Addr)      { f.note("doubt %s", a) }
func (f fakePaths) Confirm(a netip.Addr)    { f.note("confirm %s", a) }

// sampler joins the fake's probes; a shaper can be had for everything that goes out.
func (f *fakeHost) sampler() *sampler {
	return &sampler{
		transfers: fakeTransfers{f}, links: fakeLinks{f}, softnet: fakeSoftnet{f}, descriptors: fakeDescriptors{f}, paths: fakePaths{f},
		reboot:    func() watchdog.Reboot { return watchdog.Reboot{Known: true, Verdict: "safe"} },
		shapeable: func(k watchdog.ShaperKey) bool { return k.Direction == watchdog.Tx },
		targets:   []netip.Addr{netip.MustParseAddr("192.0.2.1")},
	}
}

const (
	ms      = time.Millisecond
	gateway = "192.0.2.254"
)

// vlanHost has a NIC, a VLAN over it that transfers and a target use, and a link that
// nothing goes over.
func vlanHost() *fakeHost {
	slow := [2]watchdog.Rates{{Known: true, Bytes: 1000}, {Known: true, Bytes: 1000}}
	return &fakeHost{
		links: []watchdog.Link{
			{Index: 2, Name: "eth0", Rates: slow}, {Index: 3, Name: "eth0.5", Lower: []int{2}, Rates: slow}, {Index: 4, Name: "eth1", Rates: slow},
		},
		transfers: []watchdog.Transfer{{ID: "t1", Link: 3, Age: time.Hour}},
		paths: []watchdog.Path{{Target: netip.MustParseAddr(gateway), Why: watchdog.TargetGateway, Link: 3, Delay: true,
			Known: true, RTT: 5 * ms, Base: ms}},
	}
}

func TestSampleJoinsTheProbes(t *testing.T) {
	f := vlanHost()
	f.blind = []string{"rsync", "softnet", "descriptors", "path"}
	s := f.sampler()
	snap := s.Sample(time.Second, time.Unix(5, 0), watchdog.Decision{})
	want := `limits move false
sample rsync
sample nic
sample softnet
sample descriptors
look for sessions
mode 1, idle [2 3 4], over NICs 2 2, targets [192.0.2.1], sessions 1
sample path`
	if d := cmp.Diff(want, f.String()); d != "" {
		t.Errorf("calls: -want +got:\n%s", d)
	}
	var blind []string
	for _, e := range snap.Errors {
		blind = append(blind, string(e.Probe))
	}
	if !slices.Equal(blind, f.blind) {
		t.Errorf("errors of %q, want %q", blind, f.blind)
	}
	if snap.Mono != time.Second || !snap.Wall.Equal(time.Unix(5, 0)) || snap.Reboot.Verdict != "safe" || len(snap.Transfers) != 1 || len(snap.Paths) != 1 {
		t.Errorf("%+v", snap)
	}
	for i, used := range []bool{true, true, false} {
		l := snap.Links[i]
		if l.Delay[watchdog.Rx].Known != used || l.ShaperOK[watchdog.Tx] != used || l.ShaperOK[watchdog.Rx] {
			t.Errorf("%s: delay %+v, shaper %v", l.Name, l.Delay, l.ShaperOK)
		}
	}
	if f.links[0].Delay[watchdog.Rx].Known {
		t.Error("what the probe keeps was changed")
	}
}

// A sample in which nothing was measured of transfers does not look at the links
// either, where the decision allows it; and never says that it does where it does not.
func TestSampleRepeats(t *testing.T) {
	f := vlanHost()
	f.blind = []string{"nic"}
	s := f.sampler()
	rest := watchdog.Decision{Rest: true}
	for _, c := range []struct {
		what     string
		change   func()
		last     watchdog.Decision
		repeated bool
	}{
		{"the first", func() { f.changed = true }, rest, false},
		{"the same list", func() {}, rest, true},
		{"while something moves", func() {}, watchdog.Decision{}, false},
		{"a list made anew", func() { f.changed = true }, rest, false},
		{"that list again", func() {}, rest, true},
		{"no transfers", func() { f.transfers = nil }, rest, false},
	} {
		c.change()
		snap := s.Sample(time.Second, time.Unix(5, 0), c.last)
		looked := strings.Contains(f.String(), "sample nic")
		if snap.Repeated != c.repeated || looked == c.repeated || len(snap.Links) != 3 || !snap.Blind("nic") {
			t.Errorf("%s: repeated %v, looked at links %v: %+v", c.what, snap.Repeated, looked, snap)
		}
	}
}

func TestSessionsAreLookedThroughEverySecond(t *testing.T) {
	f := vlanHost()
	s := f.sampler()
	for _, c := range []struct {
		at   time.Duration
		want bool
	}{{0, true}, {999 * ms, false}, {1000 * ms, false}, {1001 * ms, true}, {1500 * ms, false}} {
		s.Sample(c.at, time.Unix(5, 0), watchdog.Decision{})
		if got := strings.Contains(f.String(), "look for sessions"); got != c.want {
			t.Errorf("at %s: %v", c.at, got)
		}
	}
}

// viewOf is vlanHost's sample after a decision.
func viewOf(f *fakeHost, links ...watchdog.LinkState) view {
	snap := &watchdog.Snapshot{Links: f.links, Transfers: f.transfers, Paths: f.paths}
	return view{snap, watchdog.Decision{Links: links}, watchdog.NewLinkIndex(f.links).Physical}
}

func TestPathMode(t *testing.T) {
	f := vlanHost()
	moving, still := watchdog.LinkState{Link: 2, Moving: true}, watchdog.LinkState{Link: 2}
	if got := pathMode(viewOf(f, still, moving)); got != path.Close {
		t.Errorf("while limits move: %v", got)
	}
	if got := pathMode(viewOf(f, still)); got != path.Fast {
		t.Errorf("with transfers: %v", got)
	}
	f.transfers = nil
	if got := pathMode(viewOf(f, moving)); got != path.Idle {
		t.Errorf("without transfers: %v", got)
	}
}

func TestIdleLinks(t *testing.T) {
	fast := [2]watchdog.Rates{{Known: true, Bytes: 1000}, {Known: true, Bytes: 1e6}}
	for _, c := range []struct {
		what   string
		change func(*fakeHost)
		last   watchdog.LinkState
		want   []int
	}{
		{"nothing moves", func(*fakeHost) {}, watchdog.LinkState{}, []int{2, 3, 4}},
		{"one direction is in use", func(f *fakeHost) { f.links[0].Rates = fast }, watchdog.LinkState{}, []int{3, 4}},
		{"a rate is not known", func(f *fakeHost) { f.links[2].Rates[1].Known = false }, watchdog.LinkState{}, []int{2, 3}},
		{"a transfer began on the VLAN", func(f *fakeHost) { f.transfers[0].Age = ms }, watchdog.LinkState{}, []int{4}},
		{"all is cut on the NIC", func(f *fakeHost) { f.links[0].Rates, f.transfers[0].Age = fast, ms },
			watchdog.LinkState{Link: 2, PathEmpty: true}, []int{2, 3, 4}},
	} {
		f := vlanHost()
		c.change(f)
		if got := idleLinks(viewOf(f, c.last)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// What is concluded of a target is told once, when its link begins to back off.
func TestJudgeTargets(t *testing.T) {
	far := netip.MustParseAddr("198.51.100.7")
	told := control.Delay{From: far}
	backoff := watchdog.LinkState{Link: 2, Phase: control.Backoff, Delay: told}
	for _, c := range []struct {
		what   string
		change func(*fakeHost)
		last   watchdog.LinkState
		before map[int]bool
		want   string
	}{
		{"nothing", func(*fakeHost) {}, watchdog.LinkState{Link: 2, Delay: told}, nil, ""},
		{"a queue that no transfer meets", func(*fakeHost) {}, watchdog.LinkState{Link: 2, Contradicted: true, Delay: told}, nil, "contradict " + far.String()},
		{"a queue that is not ours", func(*fakeHost) {}, backoff, nil, "refuse " + far.String() + "\ndoubt " + gateway},
		{"and goes on", func(*fakeHost) {}, backoff, map[int]bool{2: true}, ""},
		{"and the gateway tells no delay", func(f *fakeHost) { f.paths[0].Delay = false }, backoff, nil, "refuse " + far.String()},
		{"and a client is asked", func(f *fakeHost) { f.paths[0].Why = watchdog.TargetSession }, backoff, nil, "refuse " + far.String()},
		{"on another link", func(*fakeHost) {}, watchdog.LinkState{Link: 4, Phase: control.Backoff, Delay: told}, nil, "refuse " + far.String()},
		{"a queue went with the limits", func(f *fakeHost) { f.paths[0].Unproven = true }, watchdog.LinkState{Link: 2, Drained: true}, nil, "confirm " + gateway},
		{"of a gateway known to queue", func(*fakeHost) {}, watchdog.LinkState{Link: 2, Drained: true}, nil, ""},
	} {
		f := vlanHost()
		c.change(f)
		found, now := judgeTargets(viewOf(f, c.last), c.before)
		for _, x := range found {
			x.tell(fakePaths{f})
		}
		if got := f.String(); got != c.want || now[c.last.Link] != (c.last.Phase == control.Backoff) {
			t.Errorf("%s: %q, backed off %v; want %q", c.what, got, now, c.want)
		}
	}
}

// A transfer that waits in a class of its own tells nothing of the link's queue.
func TestDelayWitnesses(t *testing.T) {
	f := vlanHost()
	f.transfers = append(f.transfers, watchdog.Transfer{ID: "t2", Link: 3})
	v := viewOf(f)
	v.last.Desired.Limits = map[watchdog.TransferID]watchdog.Limit{"t1": {Rate: 1e6}, "t2": {Window: 9}}
	if got := delayWitnesses(v); len(got) != 2 {
		t.Errorf("without a wish: %v", got)
	}
	v.last.RateRequests = map[watchdog.TransferID]watchdog.RateRequest{"t1": {}}
	if got := delayWitnesses(v); len(got) != 1 || got[0].ID != "t2" {
		t.Errorf("with one: %v", got)
	}
	if len(f.transfers) != 2 || f.transfers[0].ID != "t1" {
		t.Error("the list of the probe was changed")
	}
}

func TestShaped(t *testing.T) {
	d := watchdog.Decision{Links: []watchdog.LinkState{{Link: 2, Direction: watchdog.Tx, Shaper: 1e6}, {Link: 3, Direction: watchdog.Tx}}}
	for k, want := range map[watchdog.ShaperKey]bool{
		{Link: 2, Direction: watchdog.Tx}: true, {Link: 2, Direction: watchdog.Rx}: false, {Link: 3, Direction: watchdog.Tx}: false,
	} {
		if got := shaped(d, k.Link, k.Direction); got != want {
			t.Errorf("%v: %v", k, got)
		}
	}
}
