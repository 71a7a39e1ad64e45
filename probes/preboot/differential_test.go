package preboot

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/probes/iptables"
	"lifeline/probes/iptables/rulegen"
	"lifeline/probes/preboot/hostinfo"
	"lifeline/probes/preboot/sandbox"
)

// The differential test: random rule files, each loaded by the real tool in a
// namespace, real connections of the question sent there; what the kernel
// does must lie within what the analysis says.

// diffFiles is how many files `make test` tries; more in each of the four
// combinations of family and back end, without end of new ones, with
// LIFELINE_DIFFERENTIAL=SECONDS.
const diffFiles = 520

// clearing resets every table of a back end.
func clearing(b iptables.Backend, f iptables.Family) sandbox.Load {
	if b == iptables.NFT {
		return sandbox.Load{Commands: []sandbox.Command{{Argv: []string{"nft", "-f", "-"}}}, Input: []byte("flush ruleset\n")}
	}
	text := ""
	for _, t := range []string{"raw", "mangle", "nat", "filter", "security"} {
		text += "*" + t + "\n"
		for _, c := range builtin[t] {
			text += ":" + c + " ACCEPT\n"
		}
		text += "COMMIT\n"
	}
	return sandbox.Load{Commands: sandbox.RestoreCommands(b, f), Input: []byte(text)}
}

// differ runs random files of one kind through one child.
type differ struct {
	t       *testing.T
	p       *sandbox.Sandbox
	family  iptables.Family
	backend iptables.Backend
	tally   *diffTally
	names   iptables.Names
}

// diffTally counts over all kinds, to show that the files are worth trying.
type diffTally struct {
	files, loaded, allowed, blocked, conditional, probes, in, firm atomic.Int64
}

// load loads files into the same namespaces, one after the other.
func (d *differ) load(list []sandbox.Load) []sandbox.LoadResult {
	said, err := d.p.Load(list, 20*time.Second)
	if err != nil {
		d.t.Fatalf("the child is gone: %v", err)
	}
	return said
}

// connect tries connections.
func (d *differ) connect(tr sandbox.Traffic) []sandbox.Outcome {
	out, err := d.p.Connect(tr)
	if err != nil {
		d.t.Fatalf("the child is gone: %v", err)
	}
	return out
}

// one tries one file.
func (d *differ) one(seed uint64) {
	c := newDiffCase(seed, d.family, d.backend)
	q, in := c.question, c.inputs(d.names)
	bare := iptables.Analyse(q, in)
	tries, sports := d.tries(rand.New(rand.NewPCG(seed, 2)), q, bare)
	tr := sandbox.Traffic{Listen: []uint16{22, 2022}, Timeout: 80 * time.Millisecond, Tries: tries}
	said := d.load(c.loads())
	outcomes := d.connect(tr)
	last := len(said) - 1
	if c.other != "" && said[last-1].Code != 0 { // refused as a whole
		c.other, said[last-1] = "", sandbox.LoadResult{}
		in = c.inputs(d.names)
		bare = iptables.Analyse(q, in)
	}
	for i, l := range said[:last] {
		if l.Code != 0 {
			d.t.Fatalf("seed %d: load %d: %+v\n%s", seed, i, l, c)
		}
	}
	word := sandbox.StatusOf(said[last], true, true)
	fail := func(format string, args ...any) {
		d.t.Errorf("IPv%d %s seed %d: %s\nsources %s ports %d\n%s", d.family, d.backend, seed, fmt.Sprintf(format, args...), join(q.Mgmt), q.Ports, c)
	}
	if told := word.Told(bare.Load).Load; bare.Load != told && bare.Load != iptables.LoadUnknown && told != iptables.LoadUnknown {
		fail("the parser says the load %s, %q; the tool %s, %q", bare.Load, bare.LoadError, told, word.Message)
	}
	in.Rules[0].Told = word.Told(bare.Load)
	whole := iptables.Analyse(q, in)
	d.tally.count(whole)
	if whole.Verdict == iptables.Conditional && len(whole.Assumptions) == 0 {
		fail("it depends, but on nothing that is named")
	}
	if in.Rules[0].Told.Load == iptables.LoadUnknown {
		return // what is loaded now is not known
	}
	for i, try := range tries {
		d.compare(q, in, whole, try, sports[i], outcomes[i], func() sandbox.Outcome {
			return d.connect(sandbox.Traffic{Listen: tr.Listen, Timeout: 3 * time.Second, Tries: []sandbox.Connection{try}})[0]
		}, fail)
	}
}

// tries are random connections of the question, and some that the analysis
// proposes.
func (d *differ) tries(rnd *rand.Rand, q iptables.Question, r iptables.Result) (list []sandbox.Connection, expect []iptables.Verdict) {
	seen := map[sandbox.Connection]bool{}
	add := func(src netip.Addr, sport uint16, dst netip.Addr, port uint16, v iptables.Verdict) {
		c := sandbox.Connection{Link: "eth0", Src: src, SPort: sport, Dst: dst, DPort: port}
		if seen[c] || !hostinfo.UsableSource(q.Host, src) {
			return
		}
		seen[c] = true
		if w, ok := hostinfo.WayTo(q.Host, src, "eth0"); ok && w.Neighbour {
			c.Neighbour = w.Link
		}
		list, expect = append(list, c), append(expect, v)
	}
	for range 5 {
		p := q.Mgmt[rnd.IntN(len(q.Mgmt))]
		sport := uint16(0)
		if rnd.IntN(10) < 3 {
			sport = []uint16{22, 80, 443, 1023, 1024, 2022, 40000}[rnd.IntN(7)]
		}
		add(rulegen.RandomIn(rnd, p), sport, q.Dst[0], q.Ports[rnd.IntN(len(q.Ports))], "")
	}
	for _, p := range r.Probes[:min(6, len(r.Probes))] {
		add(p.Src, p.SPort, p.Dst, p.DPort, p.Expect)
	}
	return list, expect
}

// compare holds one outcome to the analysis of the whole question and of that
// source alone. A silence is believed only after a second, longer look.
func (d *differ) compare(q iptables.Question, in iptables.Inputs, whole iptables.Result, c sandbox.Connection, expect iptables.Verdict, o sandbox.Outcome, again func() sandbox.Outcome, fail func(string, ...any)) {
	if o == sandbox.NotTried {
		return
	}
	alone := q
	alone.Mgmt, alone.Dst, alone.Ports = []netip.Prefix{netip.PrefixFrom(c.Src, c.Src.BitLen())}, []netip.Addr{c.Dst}, []uint16{c.DPort}
	single := iptables.Analyse(alone, in)
	d.tally.probes.Add(1)
	verdicts := []iptables.Verdict{firm(whole), firm(single)}
	if in.Rules[0].Told.Load == iptables.LoadOK {
		verdicts = append(verdicts, expect)
	}
	wants := func(v iptables.Verdict) bool {
		for _, have := range verdicts {
			if have == v {
				return true
			}
		}
		return false
	}
	if o == sandbox.Established {
		d.tally.in.Add(1)
	}
	if wants(iptables.Allowed) || wants(iptables.Blocked) {
		d.tally.firm.Add(1)
	}
	if wants(iptables.Allowed) && o != sandbox.Established {
		if o = again(); o != sandbox.Established {
			fail("%s: %s, but the analysis lets it in (whole %s %s, alone %s %s, probe %s)", ProbeResult{Src: c.Src, SPort: c.SPort, Dst: c.Dst, Port: c.DPort}, o, whole.Verdict, whole.Scope, single.Verdict, single.Scope, expect)
		}
	}
	if x := single.Counterexample; x != nil && x.Flags == "ACK" && single.Verdict == iptables.Blocked {
		// A lost acknowledgement, or a segment without PSH, hurts longer
		// transfers than the 4 kB of a rehearsal.
		return
	}
	if c.SPort > 0 && c.SPort < 32768 && expect != iptables.Blocked {
		return // "all" speaks of the ports that clients pick by themselves
	}
	if wants(iptables.Blocked) && o == sandbox.Established {
		fail("%s: established, but the analysis blocks it (whole %s %s, alone %s %s, probe %s): %v", ProbeResult{Src: c.Src, SPort: c.SPort, Dst: c.Dst, Port: c.DPort}, whole.Verdict, whole.Scope, single.Verdict, single.Scope, expect, single.Trace)
	}
}

// firm is what a result says of every one of its connections.
func firm(r iptables.Result) iptables.Verdict { return expected(&r) }

func (n *diffTally) count(r iptables.Result) {
	n.files.Add(1)
	if r.Load == iptables.LoadOK {
		n.loaded.Add(1)
	}
	switch r.Verdict {
	case iptables.Allowed:
		n.allowed.Add(1)
	case iptables.Blocked:
		n.blocked.Add(1)
	default:
		n.conditional.Add(1)
	}
}

func TestDifferential(t *testing.T) {
	needTool(t, "iptables-nft-restore", "iptables-legacy-restore", "nft", "ipset")
	if os.Geteuid() != 0 {
		t.Skip("rules may name user ids, which need root's user namespace")
	}
	var tally diffTally
	base, until := uint64(1), time.Time{}
	if s := os.Getenv("LIFELINE_DIFFERENTIAL"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("LIFELINE_DIFFERENTIAL=%q is not a number of seconds", s)
		}
		base, until = uint64(time.Now().UnixNano()), time.Now().Add(time.Duration(n)*time.Second)
		t.Logf("first seed %d", base)
	}
	if s := os.Getenv("LIFELINE_DIFFERENTIAL_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("LIFELINE_DIFFERENTIAL_SEED=%q is not a seed", s)
		}
		base = n
	}
	kinds := []differ{{family: 4, backend: iptables.NFT}, {family: 4, backend: iptables.Legacy}, {family: 6, backend: iptables.NFT}, {family: 6, backend: iptables.Legacy}}
	var next [4]atomic.Uint64 // a seed belongs to the same kind in every run
	var group sync.WaitGroup
	network, _ := sandbox.Mirror(diffHost(), []iptables.Question{{Family: iptables.IPv4, Iface: "eth0"}, {Family: iptables.IPv6, Iface: "eth0"}})
	workers := 2 * len(kinds) * max(1, runtime.NumCPU()/2)
	for w := range workers {
		d, kind := kinds[w%len(kinds)], w%len(kinds)
		d.t, d.tally, d.names = t, &tally, hostinfo.Local{}.Names()
		p, err := sandbox.Start(t.Context(), sandbox.AsNobody)
		if err != nil {
			t.Skipf("no namespaces of our own here: %v", err)
		}
		t.Cleanup(p.Close)
		if err := p.Build(network); err != nil {
			t.Fatal(err)
		}
		d.p = p
		group.Go(func() {
			for {
				n := uint64(len(kinds))*(next[kind].Add(1)-1) + uint64(kind)
				if until.IsZero() && n >= diffFiles || !until.IsZero() && time.Now().After(until) {
					return
				}
				d.one(base + n)
			}
		})
	}
	group.Wait()
	t.Logf("%d files (%d loaded): %d allowed, %d blocked, %d conditional; %d connections, %d established, %d held to a firm verdict",
		tally.files.Load(), tally.loaded.Load(), tally.allowed.Load(), tally.blocked.Load(), tally.conditional.Load(), tally.probes.Load(), tally.in.Load(), tally.firm.Load())
	if f := tally.files.Load(); !t.Failed() && (tally.loaded.Load() < f/2 || tally.allowed.Load() < f/20 || tally.blocked.Load() < f/20 || tally.firm.Load() < tally.probes.Load()/4) {
		t.Error("the random files show too little")
	}
}
