package flow

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
	"lifeline/probes/iptables/rulegen"
	"lifeline/probes/iptables/rules"
)

// oracle sends single packets through rules, one after the other, as the
// kernel does. Where a rule depends on what is not known it throws a coin. It
// parts no evaluation code with the analysis.
type oracle struct {
	r      *rand.Rand
	family netfilter.Family
	tables map[string]*rules.Table
	local  map[netset.Addr]bool
	redir  netset.Addr
	link   string
}

// oraclePacket is one packet with what hangs on it.
type oraclePacket struct {
	src, dst     netset.Addr
	sport, dport uint16
	proto        uint8
	icmp         uint8
	flags        uint8
	in, out      string
	mark         uint32
	hop          int
	untracked    bool
	zone         int
	template     bool
	ct           *oracleConn
	reply        bool
	state        string
}

// oracleConn is a conntrack entry.
type oracleConn struct {
	src, dst, newDst       netset.Addr
	sport, dport, newDport uint16
	mark                   uint32
	zone                   int
	seenSYNACK             bool
	gap                    bool
}

func (o *oracle) coin() bool { return o.r.IntN(2) == 0 }

func (o *oracle) matches(r *rules.Rule, p *oraclePacket) bool {
	if r.Proto != 0 && (r.Proto == p.proto) == r.ProtoInv {
		return false
	}
	if !linkFits(r.In, p.in) || !linkFits(r.Out, p.out) || r.Frag == 1 {
		return false
	}
	if r.SrcMask != nil && !r.SrcMask.Contains(p.src) || r.DstMask != nil && !r.DstMask.Contains(p.dst) {
		return false
	}
	if !r.Src.Contains(p.src) || !r.Dst.Contains(p.dst) || !r.Sport.Contains(p.sport) || !r.Dport.Contains(p.dport) {
		return false
	}
	for _, c := range r.Matches {
		if !o.cond(c, p) {
			return false
		}
	}
	return len(r.Unmodelled) == 0 || o.coin()
}

func linkFits(f rules.LinkMatch, name string) bool {
	if f.Name == "" && !f.Any {
		return true
	}
	fits := name == f.Name
	if f.Any {
		fits = len(name) >= len(f.Name) && name[:len(f.Name)] == f.Name
	}
	if f.Inv {
		return !fits
	}
	return fits
}

func (o *oracle) cond(c rules.Match, p *oraclePacket) bool {
	switch c := c.(type) {
	case rules.NeverMatch:
		return false
	case rules.EitherPortMatch:
		return (c.Ports.Contains(p.sport) || c.Ports.Contains(p.dport)) != c.Inv
	case rules.TCPFlagsMatch:
		return (p.flags&c.Mask == c.Want) != c.Inv
	case rules.StateMatch:
		return o.stateIn(c.Mask, p) != c.Inv
	case rules.ConntrackMatch:
		return o.conn(c, p)
	case rules.MarkMatch:
		m := p.mark
		if c.Conn {
			if p.ct == nil {
				return false
			}
			m = p.ct.mark
		}
		return (m&c.Mask == c.Value) != c.Inv
	case rules.AddrTypeMatch:
		return o.addrType(c, p)
	case rules.ICMPMatch:
		return (c.Type.Type == p.icmp && c.Type.CodeLo == 0) != c.Inv
	case rules.HopLimitMatch:
		if p.proto != 58 {
			return o.coin()
		}
		return (p.hop == c.Val) != c.Inv
	}
	return o.coin()
}

func (o *oracle) stateIn(mask uint8, p *oraclePacket) bool {
	names := map[string]uint8{"INVALID": netfilter.StateInvalid, "NEW": netfilter.StateNew, "ESTABLISHED": netfilter.StateEstablished, "UNTRACKED": netfilter.StateUntracked}
	if mask&names[p.state] != 0 {
		return true
	}
	return mask&netfilter.StateDNAT != 0 && p.ct != nil && (p.ct.dst != p.ct.newDst || p.ct.dport != p.ct.newDport)
}

func (o *oracle) conn(c rules.ConntrackMatch, p *oraclePacket) bool {
	if p.ct == nil {
		return c.WithState
	}
	for _, x := range c.Parts {
		hit := false
		switch x.Field {
		case rules.ConntrackProto:
			hit = uint32(p.proto) == x.Num
		case rules.ConntrackDir:
			hit = !p.reply
		case rules.ConntrackOrigSrc, rules.ConntrackReplDst:
			hit = x.Addrs.Contains(p.ct.src)
		case rules.ConntrackOrigDst:
			hit = x.Addrs.Contains(p.ct.dst)
		case rules.ConntrackReplSrc:
			hit = x.Addrs.Contains(p.ct.newDst)
		case rules.ConntrackOrigSrcPort, rules.ConntrackReplDstPort:
			hit = x.Ports.Contains(p.ct.sport)
		case rules.ConntrackOrigDstPort:
			hit = x.Ports.Contains(p.ct.dport)
		case rules.ConntrackReplSrcPort:
			hit = x.Ports.Contains(p.ct.newDport)
		}
		if hit == x.Inv {
			return false
		}
	}
	return !c.Other || o.coin()
}

func (o *oracle) addrType(c rules.AddrTypeMatch, p *oraclePacket) bool {
	a := p.dst
	if c.Src {
		a = p.src
	}
	multicast := o.family == netfilter.IPv6 && a.Hi>>56 == 0xff
	isLocal := o.local[a]
	var hit bool
	if o.family == netfilter.IPv4 {
		hit = c.Mask&netfilter.AddrTypeLocal != 0 && isLocal || c.Mask&netfilter.AddrTypeUnicast != 0 && !isLocal && !multicast
	} else {
		hit = (c.Mask&netfilter.AddrTypeMulticast == 0 || multicast) && (c.Mask&netfilter.AddrTypeUnicast == 0 || !multicast) && (c.Mask&netfilter.AddrTypeLocal == 0 || isLocal)
	}
	return hit != c.Inv
}

// verdict of a walk: accept, drop, or back to the caller.
type oracleVerdict uint8

const (
	back oracleVerdict = iota
	accepted
	denied
)

func (o *oracle) chain(c *rules.Chain, p *oraclePacket) oracleVerdict {
	for _, r := range c.Rules {
		if !o.matches(r, p) {
			continue
		}
		switch r.Target.Kind {
		case rules.TargetAccept:
			return accepted
		case rules.TargetDrop, rules.TargetReject:
			return denied
		case rules.TargetReturn:
			return back
		case rules.TargetJump:
			if v := o.chain(r.Target.Chain, p); v != back {
				return v
			}
		case rules.TargetGoto:
			return o.chain(r.Target.Chain, p)
		default:
			if v := o.act(r, p); v != back {
				return v
			}
		}
	}
	return back
}

// act carries out the other targets; back means go on.
func (o *oracle) act(r *rules.Rule, p *oraclePacket) oracleVerdict {
	t := &r.Target
	switch t.Kind {
	case rules.TargetMark:
		p.mark = p.mark&^t.Mark.Mask ^ t.Mark.Value
	case rules.TargetConnmark:
		if p.ct == nil {
			return back
		}
		switch {
		case t.Mark.Save:
			p.ct.mark = p.ct.mark&^t.Mark.Ctmask ^ p.mark&t.Mark.Nfmask
		case t.Mark.Restore:
			p.mark = p.mark&^t.Mark.Nfmask ^ p.ct.mark&t.Mark.Ctmask
		default:
			p.ct.mark = p.ct.mark&^t.Mark.Mask ^ t.Mark.Value
		}
	case rules.TargetNotrack:
		if !p.template {
			p.template, p.untracked, p.state = true, true, "UNTRACKED"
		}
	case rules.TargetZone:
		if !p.template {
			p.template, p.zone = true, t.Zone
			p.ct, p.state = &oracleConn{}, "NEW" // the template itself
		}
	case rules.TargetRedirect, rules.TargetDNAT:
		p.ct.newDst = o.redir
		if t.Nat.HasAddr {
			p.ct.newDst = t.Nat.Lo
		} else if t.Kind == rules.TargetDNAT {
			p.ct.newDst = p.dst
		}
		if t.Nat.HasPort {
			p.ct.newDport = t.Nat.Port.Lo
		}
		return accepted
	case rules.TargetUnknown:
		return oracleVerdict(o.r.IntN(3))
	}
	return back
}

// pass runs one table at one hook.
func (o *oracle) pass(table, hook string, p *oraclePacket) bool {
	c := o.tables[table].Chain(hook)
	if c == nil {
		return true
	}
	switch o.chain(c, p) {
	case accepted:
		return true
	case denied:
		return false
	}
	return c.Policy == "ACCEPT"
}

// track is conntrack: it finds or makes the entry of the packet.
func (o *oracle) track(p *oraclePacket, ct *oracleConn, first bool) *oracleConn {
	p.ct = nil
	switch {
	case p.untracked || p.proto == 58:
		p.state = "UNTRACKED"
		if ct != nil {
			ct.gap = true
		}
		return ct
	case first:
		p.ct = &oracleConn{src: p.src, dst: p.dst, newDst: p.dst, sport: p.sport, dport: p.dport, newDport: p.dport, zone: p.zone}
		p.state = "NEW"
		return p.ct
	case ct == nil && p.flags&netfilter.FlagSYN != 0, ct != nil && ct.zone != p.zone && p.flags&netfilter.FlagSYN != 0,
		ct != nil && ct.zone == p.zone && !p.reply && !ct.seenSYNACK:
		p.state = "INVALID"
		if ct != nil {
			ct.gap = true
		}
		return ct
	case ct == nil || ct.zone != p.zone:
		// Picked up in the middle of the flow, or not: the analysis takes
		// either for possible.
		p.state = []string{"NEW", "ESTABLISHED", "INVALID"}[o.r.IntN(3)]
		if p.state != "INVALID" {
			p.ct = &oracleConn{src: p.src, dst: p.dst, newDst: p.dst, sport: p.sport, dport: p.dport, newDport: p.dport}
		}
		return ct
	}
	if ct.gap && o.coin() {
		p.state = "INVALID" // the windows may no longer fit
		return ct
	}
	p.ct, p.state = ct, "ESTABLISHED"
	if p.flags&netfilter.FlagSYN != 0 {
		ct.seenSYNACK = true
	}
	return ct
}

// flow sends the handshake and some data, and reports whether all passes.
func (o *oracle) flow(src, dst netset.Addr, sport, dport uint16) bool {
	var ct *oracleConn
	toDst, toPort := dst, dport
	send := func(flags uint8, reply, first bool) bool {
		p := &oraclePacket{proto: 6, flags: flags, reply: reply, state: "INVALID"}
		if reply {
			p.src, p.dst, p.sport, p.dport, p.out = toDst, src, toPort, sport, o.link
			if !o.pass("raw", "OUTPUT", p) {
				return false
			}
			ct = o.track(p, ct, false)
			return !lost(ct, p) && o.pass("mangle", "OUTPUT", p) && o.pass("filter", "OUTPUT", p) && o.pass("security", "OUTPUT", p) &&
				o.pass("mangle", "POSTROUTING", p)
		}
		p.src, p.dst, p.sport, p.dport, p.in = src, dst, sport, dport, o.link
		if !o.pass("raw", "PREROUTING", p) {
			return false
		}
		ct = o.track(p, ct, first)
		if !o.pass("mangle", "PREROUTING", p) {
			return false
		}
		if first && p.ct != nil {
			if !o.pass("nat", "PREROUTING", p) {
				return false
			}
			toDst, toPort = p.ct.newDst, p.ct.newDport
		}
		if ct != nil && p.ct == ct {
			p.dst, p.dport = ct.newDst, ct.newDport
		}
		return !lost(ct, p) && o.pass("mangle", "INPUT", p) && o.pass("filter", "INPUT", p) && o.pass("security", "INPUT", p)
	}
	if !send(netfilter.FlagSYN, false, true) || !send(netfilter.FlagSYN|netfilter.FlagACK, true, false) || !send(netfilter.FlagACK, false, false) {
		return false
	}
	for range 3 {
		if !send(netfilter.FlagACK|netfilter.FlagPSH, false, false) || !send(netfilter.FlagACK, true, false) || !send(netfilter.FlagACK|netfilter.FlagPSH, true, false) || !send(netfilter.FlagACK, false, false) {
			return false
		}
	}
	return true
}

// lost: the flow is translated, but this packet is not in its entry.
func lost(ct *oracleConn, p *oraclePacket) bool {
	return ct != nil && p.ct != ct && (ct.dst != ct.newDst || ct.dport != ct.newDport)
}

// exampleFlow is the question that random files of rulegen.Example are about.
func exampleFlow(f netfilter.Family) Question {
	p := rulegen.Example(int(f))
	return Question{Family: f, Iface: p.Iface, Dst: p.Dst, Ports: p.Ports, Mgmt: p.Mgmt,
		Links: []Link{{Name: p.Iface, Addresses: []netip.Prefix{rulegen.ExampleNetwork(int(f))}}}}
}

// TestAnalysisAgainstSinglePackets compares what the analysis says of whole
// sets with what single packets of them do.
func TestAnalysisAgainstSinglePackets(t *testing.T) {
	files := 3000
	if testing.Short() {
		files = 300
	}
	seen := map[Verdict]int{}
	for i := range files {
		r := rand.New(rand.NewPCG(11, uint64(i)))
		fam, backend := []netfilter.Family{netfilter.IPv4, netfilter.IPv6}[i%2], []netfilter.Backend{netfilter.NFT, netfilter.Legacy}[i/2%2]
		p, q := rulegen.Example(int(fam)), exampleFlow(fam)
		p.Uncertain = i%3 == 0
		text := p.File(r)
		set, err := rules.Parse("random", []byte(text), rules.ParseOptions{Family: fam, Backend: backend})
		if err != nil {
			t.Fatalf("file %d: %v\n%s", i, err, text)
		}
		a := New(q, nil, []BackendTables{{backend, set.Tables(0)}})
		f := a.find(a.connect) // without neighbour discovery, which takes other packets
		seen[reporter{a}.result(f).Verdict]++
		o := &oracle{r: r, family: fam, tables: set.Tables(0), link: "eth0", redir: netset.AddrOf(p.Dst[0]),
			local: map[netset.Addr]bool{netset.AddrOf(p.Dst[0]): true}}
		for range 40 {
			o.check(t, a, f, i, text)
		}
		if t.Failed() {
			return
		}
	}
	t.Logf("verdicts: %v", seen)
}

// check sends one random flow of the question and compares.
func (o *oracle) check(t *testing.T, a *Analysis, f finding, file int, text string) {
	t.Helper()
	src := rulegen.RandomIn(o.r, a.q.Mgmt[o.r.IntN(len(a.q.Mgmt))])
	if len(f.blocked) > 0 && o.coin() {
		src = f.blocked[o.r.IntN(len(f.blocked))].Lo.IP(o.family)
	}
	fl := connection{netset.AddrOf(src), uint16(1 + o.r.IntN(65535)), uint16(o.r.IntN(len(a.targets)))}
	if o.coin() {
		fl.sport = []uint16{22, 2022, 1023, 1024, 50000}[o.r.IntN(5)]
	}
	if !(reporter{a}).has(f.all, fl) {
		return
	}
	e := a.targets[fl.target]
	passes := o.flow(fl.src, e.addr, fl.sport, e.port)
	switch {
	case a.exhausted, (reporter{a}).has(f.unsure, fl):
	case passes && (reporter{a}).has(f.blocked, fl):
		t.Errorf("file %d: %v:%d to port %d passes, but is said to be blocked\n%s", file, src, fl.sport, e.port, text)
	case !passes && !(reporter{a}).has(f.blocked, fl):
		t.Errorf("file %d: %v:%d to port %d is dropped, but is said to pass\n%s", file, src, fl.sport, e.port, text)
	}
}
