package preboot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/hostinfo"
	"lifeline/probes/preboot/sandbox"
)

// fakeHost is a host made of values.
type fakeHost struct {
	description hostinfo.Description
	list        []hostinfo.Session
	ports       []uint16 // of sessions, beside 22
	leftOut     []string
	listens     []netip.AddrPort
	err         error
}

func (m fakeHost) Describe() (hostinfo.Description, error) { return m.description, m.err }
func (m fakeHost) Sessions() (hostinfo.SSHSessions, error) {
	return hostinfo.SSHSessions{Sessions: m.list, Ports: append([]uint16{22}, m.ports...), LeftOut: m.leftOut}, nil
}
func (m fakeHost) SSHD() ([]netip.AddrPort, string)    { return m.listens, "sshd -T" }
func (m fakeHost) Backend() (iptables.Backend, string) { return iptables.NFT, "fake" }
func (m fakeHost) Names() iptables.Names               { return iptables.Names{} }

// anywhere is an sshd that listens on all addresses.
func anywhere(port uint16) []netip.AddrPort {
	return []netip.AddrPort{netip.AddrPortFrom(netip.IPv4Unspecified(), port), netip.AddrPortFrom(netip.IPv6Unspecified(), port)}
}

func newFakeHost() fakeHost {
	h := testHost()
	h.Routes = append(h.Routes, iptables.Route{Dst: "2001:db8::/64", Link: "eth0"})
	return fakeHost{description: hostinfo.Description{Host: h, Caveats: map[string][]iptables.Assumption{}}, listens: anywhere(22),
		list: []hostinfo.Session{seenNow("10.3.0.1")}}
}

// fakeTestbed says the same of every file and connection.
type fakeTestbed struct {
	said    sandbox.LoadResult
	outcome sandbox.Outcome
	// denied are sources that the connections of never get through.
	denied  netip.Prefix
	renewed sandbox.RenewalResult
	built   int
	loads   []sandbox.Load
	closed  int
}

func (s *fakeTestbed) Build(sandbox.Network) error { s.built++; return nil }

func (s *fakeTestbed) Load(list []sandbox.Load, _ time.Duration) ([]sandbox.LoadResult, error) {
	s.loads = append(s.loads, list...)
	return slices.Repeat([]sandbox.LoadResult{s.said}, len(list)), nil
}

func (s *fakeTestbed) Connect(tr sandbox.Traffic) ([]sandbox.Outcome, error) {
	out := slices.Repeat([]sandbox.Outcome{s.outcome}, len(tr.Tries))
	for i, c := range tr.Tries {
		if s.denied.IsValid() && s.denied.Contains(c.Src) {
			out[i] = sandbox.TimedOut
		}
	}
	return out, nil
}
func (s *fakeTestbed) RenewIPv6(sandbox.Renewal) (sandbox.RenewalResult, error) {
	return s.renewed, nil
}
func (s *fakeTestbed) Close() { s.closed++ }

// fakeChecker checks a fake machine whose files lie in a directory.
func fakeChecker(m fakeHost, s *fakeTestbed, root string) checker {
	return checker{machine: m, now: func() time.Time { return testNow }, root: root, testbeds: func(bool) []testbedOpener {
		return []testbedOpener{{allIDs: true, open: func(context.Context) (testbed, error) { return s, nil }}}
	}}
}

func goodTestbed() *fakeTestbed {
	return &fakeTestbed{said: sandbox.LoadResult{Tool: "iptables-nft-restore"}, outcome: sandbox.Established}
}

const openRules = "*filter\n:INPUT DROP\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p ipv6-icmp -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n"

func openRules4() string {
	return strings.Replace(openRules, "-A INPUT -p ipv6-icmp -j ACCEPT\n", "", 1)
}

func TestCheckOfThisMachine(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4(), "etc/sysconfig/iptables": "other", "etc/iptables/rules.v6": openRules})
	s, state := goodTestbed(), t.TempDir()
	c := fakeChecker(newFakeHost(), s, root)
	r, err := c.check(t.Context(), Options{StateDir: state})
	if err != nil || r.Verdict != Safe {
		t.Fatalf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
	if s.closed != 1 {
		t.Errorf("the testbed was closed %d times", s.closed)
	}
	q := r.Questions[0]
	if len(r.Questions) != 1 || q.Iface != "eth0" || join(q.Mgmt) != "10.3.0.1/32" || join(q.Dst) != "192.0.2.10" || !slices.Equal(q.Ports, []uint16{22}) {
		t.Errorf("asked %+v", r.Questions)
	}
	if !slices.Contains(q.How, "sources: peers of ssh sessions, 1 now and 0 remembered") || !slices.Contains(q.How, "ports: sshd -T") {
		t.Errorf("how: %q", q.How)
	}
	if len(r.Files) != 1 || r.Files[0].Tool != "iptables-nft-restore" || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "/etc/sysconfig/iptables exists beside") {
		t.Errorf("files %+v, notes %q", r.Files, r.Notes)
	}

	// Nobody is logged in later: memory asks the same question.
	m := newFakeHost()
	m.list = nil
	r, err = fakeChecker(m, goodTestbed(), root).check(t.Context(), Options{StateDir: state})
	if err != nil || r.Verdict != Safe || join(r.Questions[0].Mgmt) != "10.3.0.1/32" {
		t.Errorf("from memory: %s: %s, %v", r.Verdict, r.Reason, err)
	}
	// Without memory there is no question, and that is not safe.
	r, err = fakeChecker(m, goodTestbed(), root).check(t.Context(), Options{})
	if err != nil || r.Verdict != Unknown || !strings.Contains(r.Reason, "no management sources are known") {
		t.Errorf("without a question: %s: %s, %v", r.Verdict, r.Reason, err)
	}
}

// TestCheckOfACandidate: a file that is to replace a saved one is checked
// among the others that this machine loads.
func TestCheckOfACandidate(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": "*filter\n:INPUT DROP\nCOMMIT\n", "etc/iptables/rules.v6": openRules, "etc/iptables/ipsets": "create a hash:net\n", "new": openRules4()})
	s := goodTestbed()
	r, err := fakeChecker(newFakeHost(), s, root).check(t.Context(), Options{Rules4: []string{filepath.Join(root, "new")}, Mgmt: prefixes("10.3.0.0/16", "2001:db8:a::/48")})
	if err != nil || r.Verdict != Safe {
		t.Fatalf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
	var got []string
	for _, f := range r.Files {
		got = append(got, f.Role+" "+strings.TrimPrefix(f.Path, root))
	}
	if want := []string{"ipsets /etc/iptables/ipsets", "rules4 /new", "rules6 /etc/iptables/rules.v6"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestCheckWithoutSavedRules(t *testing.T) {
	r, err := fakeChecker(newFakeHost(), goodTestbed(), t.TempDir()).check(t.Context(), Options{})
	if err != nil || r.Verdict != Unknown || !strings.Contains(r.Reason, "no saved IPv4 rules are found") {
		t.Errorf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
}

// TestCheckOfUnreadableSavedRules: nobody named the file, so nobody is to blame;
// but what it holds is not known.
func TestCheckOfUnreadableSavedRules(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4/is-a-directory": ""})
	r, err := fakeChecker(newFakeHost(), goodTestbed(), root).check(t.Context(), Options{})
	if err != nil || r.Verdict != Unknown || !strings.Contains(r.Reason, "rules.v4: is a directory") {
		t.Errorf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
}

func TestCheckOfAnEmptyFile(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": "# nothing\n"})
	r, err := fakeChecker(newFakeHost(), goodTestbed(), root).check(t.Context(), Options{})
	if err != nil || r.Verdict != Safe || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "rules.v4 holds no table: nothing is protected") {
		t.Errorf("%s: %s, %q, %v", r.Verdict, r.Reason, r.Notes, err)
	}
}

func TestCheckAsksOnce(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4()})
	r, err := fakeChecker(newFakeHost(), goodTestbed(), root).check(t.Context(), Options{Families: []iptables.Family{4, 4},
		Dst: addrs("192.0.2.10", "192.0.2.10"), Ports: []uint16{22, 22}, Mgmt: prefixes("10.3.0.0/16", "10.3.0.0/16")})
	if err != nil || len(r.Questions) != 1 {
		t.Fatalf("%+v, %v", r.Questions, err)
	}
	if q := r.Questions[0]; len(q.Dst) != 1 || len(q.Ports) != 1 || len(q.Mgmt) != 1 {
		t.Errorf("%+v", q)
	}
}

// TestCheckOfSourcesThatCannotBeAsked: what was asked about and could not be
// answered keeps the rest from being safe.
func TestCheckOfSourcesThatCannotBeAsked(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4(), "etc/iptables/rules.v6": openRules})
	m := newFakeHost()
	m.description.Host.Routes = []iptables.Route{{Dst: "10.3.0.0/16", Link: "eth0"}, {Dst: "2001:db8:a::/48", Link: "eth2"}}
	for mgmt, want := range map[string]string{
		"172.16.0.0/12":   "management source 172.16.0.0/12: the machine has no route to it",
		"2001:db8:a::/48": "eth2 has no lasting IPv6 address that sshd",
	} {
		r, err := fakeChecker(m, goodTestbed(), root).check(t.Context(), Options{Mgmt: prefixes("10.3.0.0/16", mgmt)})
		if err != nil || r.Verdict != Unknown || !strings.Contains(r.Reason, want) {
			t.Errorf("%s: %s: %s, %v", mgmt, r.Verdict, r.Reason, err)
		}
	}
	m.list = append(m.list, seenNow("172.16.0.1"))
	if r, err := fakeChecker(m, goodTestbed(), root).check(t.Context(), Options{}); err != nil || r.Verdict != Safe || len(r.LeftOut) != 1 {
		t.Errorf("a remembered source that is gone: %s: %s, %v", r.Verdict, r.Reason, err)
	}
}

// replacingTestbed puts another file in the place of the one it is given.
type replacingTestbed struct {
	*fakeTestbed
	path, text string
}

func (s replacingTestbed) Load(list []sandbox.Load, deadline time.Duration) ([]sandbox.LoadResult, error) {
	_ = os.Remove(s.path)
	if err := os.WriteFile(s.path, []byte(s.text), 0o644); err != nil {
		return nil, err
	}
	return s.fakeTestbed.Load(list, deadline)
}

// TestBothEnginesSeeTheSameFile: it is read once, and what becomes of it
// meanwhile is for the next check.
func TestBothEnginesSeeTheSameFile(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4()})
	s := replacingTestbed{goodTestbed(), filepath.Join(root, "etc/iptables/rules.v4"), "*filter\n:INPUT DROP\nCOMMIT\n"}
	c := fakeChecker(newFakeHost(), nil, root)
	c.testbeds = func(bool) []testbedOpener {
		return []testbedOpener{{allIDs: true, open: func(context.Context) (testbed, error) { return s, nil }}}
	}
	r, err := c.check(t.Context(), Options{})
	if err != nil || r.Verdict != Safe || string(s.loads[0].Input) != openRules4() {
		t.Errorf("%s: %s, %v, %q", r.Verdict, r.Reason, err, s.loads[0].Input)
	}
	if r, err = c.check(t.Context(), Options{}); err != nil || r.Checks[0].Verdict != iptables.Blocked {
		t.Errorf("the next check: %s: %s, %v", r.Verdict, r.Reason, err)
	}
}

// TestCheckAsksWhereSSHDListens: other addresses of the machine are not
// management's.
func TestCheckAsksWhereSSHDListens(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4(), "etc/iptables/rules.v6": openRules})
	m := newFakeHost()
	for n, l := range m.description.Host.Links {
		if l.Name == "eth0" {
			m.description.Host.Links[n].Addresses = append(l.Addresses, prefixes("192.0.2.11/24")...)
		}
	}
	m.listens = []netip.AddrPort{netip.MustParseAddrPort("192.0.2.11:22"), netip.MustParseAddrPort("127.0.0.1:22")}
	m.list = nil
	r, err := fakeChecker(m, goodTestbed(), root).check(t.Context(), Options{Mgmt: prefixes("10.3.0.0/16")})
	if err != nil || r.Verdict != Safe || join(r.Questions[0].Dst) != "192.0.2.11" {
		t.Errorf("%s: %s, %+v, %v", r.Verdict, r.Reason, r.Questions, err)
	}
	r, err = fakeChecker(m, goodTestbed(), root).check(t.Context(), Options{Mgmt: prefixes("10.3.0.0/16", "2001:db8:a::/48")})
	if err != nil || r.Verdict != Unknown || !strings.Contains(r.Reason, "no lasting IPv6 address that sshd listens on") {
		t.Errorf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
}

func TestCheckSplitsByLink(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4(), "etc/iptables/rules.v6": openRules})
	r, err := fakeChecker(newFakeHost(), goodTestbed(), root).check(t.Context(), Options{Mgmt: prefixes("10.2.0.0/15", "2001:db8:a::/48")})
	if err != nil || r.Verdict != Safe {
		t.Fatalf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
	var got []string
	for _, q := range r.Questions {
		got = append(got, fmt.Sprintf("%d %s %s %s", q.Family, q.Iface, join(q.Mgmt), join(q.Dst)))
	}
	want := []string{"4 eth1 10.2.0.0/16 10.1.0.1", "4 eth0 10.3.0.0/16 192.0.2.10", "6 eth0 2001:db8:a::/48 2001:db8::10"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func TestCheckCaveats(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4(), "etc/iptables/rules.v6": openRules})
	m := newFakeHost()
	m.description.Caveats["eth0"] = []iptables.Assumption{{Name: "tunnel", Why: "eth0 is a tunnel"}}
	m.description.Caveats["eth1"] = []iptables.Assumption{{Name: "tunnel", Why: "eth1 is a tunnel"}}
	r, err := fakeChecker(m, goodTestbed(), root).check(t.Context(), Options{})
	if err != nil || r.Verdict != Unknown || r.Reason != "eth0 is a tunnel" || len(r.Assumptions) != 1 {
		t.Errorf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
	six := Options{Mgmt: prefixes("2001:db8:a::/48")}
	for _, c := range []struct {
		renewed sandbox.RenewalResult
		want    Verdict
		reason  string
	}{
		{sandbox.RenewalResult{Advertised: true, Leased: true}, Safe, ""},
		{sandbox.RenewalResult{Advertised: true}, Unknown, "by DHCPv6, and in the rehearsal they did not"},
		{sandbox.RenewalResult{Leased: true}, Unknown, "by advertisement, and in the rehearsal they did not"},
	} {
		m := newFakeHost()
		m.description.Caveats["eth0/6"] = []iptables.Assumption{{Name: hostinfo.ByAdvertisement, Why: "by advertisement"}, {Name: hostinfo.ByDHCP, Why: "by DHCPv6"}}
		s := goodTestbed()
		s.renewed = c.renewed
		r, err := fakeChecker(m, s, root).check(t.Context(), six)
		if err != nil || r.Verdict != c.want || !strings.Contains(r.Reason, c.reason) {
			t.Errorf("%+v: %s: %s, %v", c.renewed, r.Verdict, r.Reason, err)
		}
		r, err = fakeChecker(m, s, root).check(t.Context(), Options{Mgmt: six.Mgmt, Engines: []Engine{Analysis}})
		if err != nil || r.Verdict != c.want && r.Verdict != Unknown {
			t.Errorf("%+v without a rehearsal: %s: %s, %v", c.renewed, r.Verdict, r.Reason, err)
		}
	}
}

func TestCheckWithoutAStage(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4()})
	c := fakeChecker(newFakeHost(), nil, root)
	c.testbeds = func(bool) []testbedOpener {
		return []testbedOpener{{open: func(context.Context) (testbed, error) { return nil, errors.New("no namespaces") }}}
	}
	r, err := c.check(t.Context(), Options{})
	if err != nil || r.Verdict != Safe || !strings.Contains(r.Reason, "no rehearsal was possible: no namespaces") {
		t.Errorf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
	if a := r.Checks[0]; a.LoadFrom != "parser" || a.Load != iptables.LoadOK {
		t.Errorf("load %s by the %s", a.Load, a.LoadFrom)
	}
	if h := r.Checks[1]; h.Status != Unclear || h.Verdict != "" {
		t.Errorf("rehearsal %+v", h)
	}
}

// TestCheckWithoutTheTool: what the tool did not load must not be rehearsed as
// if it were.
func TestCheckWithoutTheTool(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4()})
	for name, c := range map[string]struct {
		said    sandbox.LoadResult
		verdict Verdict
		from    string
	}{
		"not installed": {sandbox.LoadResult{Code: -1, Err: "not installed: iptables-nft-restore"}, Safe, "parser"},
		"killed":        {sandbox.LoadResult{Tool: "iptables-nft-restore", Code: -1, Err: "stopped after 20s"}, Unknown, "tool"},
		"no module":     {sandbox.LoadResult{Tool: "iptables-nft-restore", Code: 1, Stderr: "missing kernel module?\nrestore: line 4 failed\n"}, Unknown, "tool"},
	} {
		s := goodTestbed()
		s.said = c.said
		r, err := fakeChecker(newFakeHost(), s, root).check(t.Context(), Options{})
		if err != nil || r.Verdict != c.verdict || r.Checks[0].LoadFrom != c.from {
			t.Errorf("%s: %s: %s, %+v, %v", name, r.Verdict, r.Reason, r.Checks[0], err)
		}
		if h := r.Checks[1]; h.Status != Unclear || h.Verdict != "" || !strings.Contains(h.Summary, "no rehearsal was possible") {
			t.Errorf("%s: rehearsed all the same: %+v", name, h)
		}
	}
}

func TestCheckRefusesPrograms(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": strings.Replace(openRules4(), "-p tcp", "-M /tmp/x -p tcp", 1)})
	s := goodTestbed()
	r, err := fakeChecker(newFakeHost(), s, root).check(t.Context(), Options{})
	if err != nil || r.Verdict != Unknown || !strings.Contains(r.Files[0].Error, "names a program to run (-M)") {
		t.Errorf("%s: %s, %+v, %v", r.Verdict, r.Reason, r.Files, err)
	}
	if s.built > 0 {
		t.Error("a testbed was opened")
	}
	if m := r.Checks[0].Fixes; len(m) != 1 || !strings.Contains(m[0].Text, "rules.v4:4: the rule names a program") {
		t.Errorf("fix: %+v", m)
	}
}

func TestCheckWhenTheMachineCannotBeSeen(t *testing.T) {
	m := newFakeHost()
	m.err = errors.New("netlink is shut")
	r, err := fakeChecker(m, goodTestbed(), t.TempDir()).check(t.Context(), Options{})
	if err != nil || r.Verdict != Unknown || !strings.Contains(r.Reason, "netlink is shut") {
		t.Errorf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
}

// TestCheckThatNobodyWaitsFor ends between two questions, not after all.
func TestCheckThatNobodyWaitsFor(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4()})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := fakeChecker(newFakeHost(), goodTestbed(), root).check(ctx, Options{})
	if !errors.Is(err, context.Canceled) || len(r.Checks) != 0 || r.Verdict == Safe {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestCheckUsage(t *testing.T) {
	dir := tree(t, map[string]string{"rules": openRules4(), "bad.json": "{", "link.json": `{"links":[{"name":"a/b"}]}`, "host.json": `{"ipsets":"none"}`, "d/x": ""})
	rules := filepath.Join(dir, "rules")
	other := Options{Iface: "eth0", Dst: addrs("192.0.2.10"), Mgmt: prefixes("10.0.0.0/8"), Links: []iptables.Link{{Name: "eth0"}}}
	with := func(change func(*Options)) Options {
		o := other
		change(&o)
		return o
	}
	for want, o := range map[string]Options{
		`check "magic"`:         with(func(o *Options) { o.Engines = []Engine{"magic"} }),
		"family 5":              with(func(o *Options) { o.Families = []iptables.Family{5} }),
		`back end "pf"`:         with(func(o *Options) { o.Backend = "pf" }),
		`link name "a b"`:       with(func(o *Options) { o.Iface = "a b" }),
		"longer than 15":        with(func(o *Options) { o.Iface = "abcdefghijklmnop" }),
		"port 0":                with(func(o *Options) { o.Ports = []uint16{0} }),
		"destination 224.0.0.1": with(func(o *Options) { o.Dst = addrs("224.0.0.1") }),
		"given twice: put":      with(func(o *Options) { o.Links = append(o.Links, o.Links[0]) }),
		"links are given twice": with(func(o *Options) { o.HostFile = "x" }),
		"must name the link, the management sources": with(func(o *Options) { o.Iface, o.Mgmt = "", nil }),
		"no management source is IPv6":               with(func(o *Options) { o.Families = []iptables.Family{6} }),
		"no IPv6 address to connect to":              with(func(o *Options) { o.Mgmt = prefixes("2001:db8::/32") }),
		"rules4 file: open " + dir + "/none":         with(func(o *Options) { o.Rules4 = []string{dir + "/none"} }),
		"is a directory":                             with(func(o *Options) { o.Rules4 = []string{dir + "/d"} }),
		"host description: open":                     with(func(o *Options) { o.Links, o.HostFile = nil, dir+"/none.json" }),
		"bad.json:1:":                                with(func(o *Options) { o.Links, o.HostFile = nil, dir+"/bad.json" }),
		`link name "a/b"`:                            with(func(o *Options) { o.Links, o.HostFile = nil, dir+"/link.json" }),
		"ipsets file: open " + dir + "/none":         with(func(o *Options) { o.Links, o.HostFile, o.Rules4 = nil, dir+"/host.json", []string{rules} }),
	} {
		_, err := fakeChecker(newFakeHost(), goodTestbed(), t.TempDir()).check(t.Context(), o)
		var wrong *UsageError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestParseOptions(t *testing.T) {
	for in, want := range map[string]string{"10.0.0.0/8": "10.0.0.0/8", "10.1.2.3/8": "10.0.0.0/8", "10.1.2.3": "10.1.2.3/32", "2001:db8::1": "2001:db8::1/128",
		"": "!", "10.0.0.0/33": "!", "x": "!", "fe80::1%eth0": "!", "::ffff:10.0.0.1": "!", "::ffff:10.0.0.0/104": "!"} {
		p, err := ParseMgmt(in)
		if got := p.String(); err == nil && got != want || err != nil && want != "!" {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
	for in, want := range map[string]string{"eth0=192.0.2.1/24,2001:db8::1/64": "eth0 192.0.2.1/24, 2001:db8::1/64", "eth0=": "eth0 ", "eth0": "!", "=1.2.3.4/5": "!", "e=1.2.3.4": "!", "e=1.2.3.4/24,": "!"} {
		l, err := ParseLink(in)
		if got := l.Name + " " + join(l.Addresses); err == nil && got != want || err != nil && want != "!" {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
	if e, err := ParseEngines("analysis, rehearsal,analysis"); err != nil || len(e) != 2 {
		t.Errorf("%v, %v", e, err)
	}
	if _, err := ParseEngines(""); err == nil {
		t.Error("no engine is taken")
	}
}

func TestDescribeHost(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/ipsets": "", "etc/nftables.conf": "", "etc/systemd/system/sysinit.target.wants/nftables.service": ""})
	h, err := describeHost(newFakeHost(), root)
	if err != nil || h.IPSets != "/etc/iptables/ipsets" || !slices.Equal(h.NFT, []string{"/etc/nftables.conf"}) {
		t.Fatalf("%+v, %v", h, err)
	}
	// A machine without a route is not one of which no route is known.
	bare := h
	bare.Routes = []iptables.Route{}
	for _, h := range []iptables.Host{h, bare} {
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		again, err := iptables.DecodeHost("host.json", text)
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Errorf("%s is read as %+v, %v", text, again, err)
		}
	}
	if _, err := os.Stat("/proc/net/tcp"); err == nil {
		if _, err := DescribeHost(); err != nil {
			t.Errorf("this host: %v", err)
		}
	}
}
