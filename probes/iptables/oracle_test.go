package iptables

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"lifeline/probes/iptables/rulegen"
)

// oracle sends single packets through rules, one after the other, as the
// kernel does. Where a rule depends on what is not known it throws a coin. It
// shares no evaluation code with the analysis.
type oracle struct {
	r      *rand.Rand
	family Family
	tables map[string]*Table
	local  map[word128]bool
	redir  word128
	link   string
}

// oraclePacket is one packet with what hangs on it.
type oraclePacket struct {
	src, dst     word128
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
	src, dst, newDst       word128
	sport, dport, newDport uint16
	mark                   uint32
	zone                   int
	seenSYNACK             bool
	gap                    bool
}

func (o *oracle) coin() bool { return o.r.IntN(2) == 0 }

func (o *oracle) matches(r *Rule, p *oraclePacket) bool {
	if r.proto != 0 && (r.proto == p.proto) == r.protoInv {
		return false
	}
	if !linkFits(r.in, p.in) || !linkFits(r.out, p.out) || r.frag == 1 {
		return false
	}
	if r.srcMask != nil && !r.srcMask.contains(p.src) || r.dstMask != nil && !r.dstMask.contains(p.dst) {
		return false
	}
	if !r.src.contains(p.src) || !r.dst.contains(p.dst) || !r.sport.contains(p.sport) || !r.dport.contains(p.dport) {
		return false
	}
	for _, c := range r.conds {
		if !o.cond(c, p) {
			return false
		}
	}
	return len(r.unknown) == 0 || o.coin()
}

func linkFits(f iface, name string) bool {
	if f.name == "" && !f.any {
		return true
	}
	fits := name == f.name
	if f.any {
		fits = len(name) >= len(f.name) && name[:len(f.name)] == f.name
	}
	if f.inv {
		return !fits
	}
	return fits
}

func (o *oracle) cond(c cond, p *oraclePacket) bool {
	switch c := c.(type) {
	case neverCond:
		return false
	case eitherPortCond:
		return (c.ports.contains(p.sport) || c.ports.contains(p.dport)) != c.inv
	case flagsCond:
		return (p.flags&c.mask == c.want) != c.inv
	case stateCond:
		return o.stateIn(c.mask, p) != c.inv
	case connCond:
		return o.conn(c, p)
	case markCond:
		m := p.mark
		if c.conn {
			if p.ct == nil {
				return false
			}
			m = p.ct.mark
		}
		return (m&c.mask == c.value) != c.inv
	case addrTypeCond:
		return o.addrType(c, p)
	case icmpCond:
		return (c.r.typ == p.icmp && c.r.codeLo == 0) != c.inv
	case hopCond:
		if p.proto != 58 {
			return o.coin()
		}
		return (p.hop == c.val) != c.inv
	}
	return o.coin()
}

func (o *oracle) stateIn(mask uint8, p *oraclePacket) bool {
	names := map[string]uint8{"INVALID": stInvalid, "NEW": stNew, "ESTABLISHED": stEstablished, "UNTRACKED": stUntracked}
	if mask&names[p.state] != 0 {
		return true
	}
	return mask&stDNAT != 0 && p.ct != nil && (p.ct.dst != p.ct.newDst || p.ct.dport != p.ct.newDport)
}

func (o *oracle) conn(c connCond, p *oraclePacket) bool {
	if p.ct == nil {
		return c.withState
	}
	for _, x := range c.parts {
		hit := false
		switch x.kind {
		case ctProto:
			hit = uint32(p.proto) == x.num
		case ctDir:
			hit = !p.reply
		case ctOrigSrc, ctReplDst:
			hit = x.addrs.contains(p.ct.src)
		case ctOrigDst:
			hit = x.addrs.contains(p.ct.dst)
		case ctReplSrc:
			hit = x.addrs.contains(p.ct.newDst)
		case ctOrigSrcPort, ctReplDstPort:
			hit = x.ports.contains(p.ct.sport)
		case ctOrigDstPort:
			hit = x.ports.contains(p.ct.dport)
		case ctReplSrcPort:
			hit = x.ports.contains(p.ct.newDport)
		}
		if hit == x.inv {
			return false
		}
	}
	return !c.other || o.coin()
}

func (o *oracle) addrType(c addrTypeCond, p *oraclePacket) bool {
	a := p.dst
	if c.src {
		a = p.src
	}
	multicast := o.family == IPv6 && a.hi>>56 == 0xff
	isLocal := o.local[a]
	var hit bool
	if o.family == IPv4 {
		hit = c.mask&atLocal != 0 && isLocal || c.mask&atUnicast != 0 && !isLocal && !multicast
	} else {
		hit = (c.mask&atMulticast == 0 || multicast) && (c.mask&atUnicast == 0 || !multicast) && (c.mask&atLocal == 0 || isLocal)
	}
	return hit != c.inv
}

// verdict of a walk: accept, drop, or back to the caller.
type oracleVerdict uint8

const (
	back oracleVerdict = iota
	accepted
	denied
)

func (o *oracle) chain(c *Chain, p *oraclePacket) oracleVerdict {
	for _, r := range c.Rules {
		if !o.matches(r, p) {
			continue
		}
		switch r.target.kind {
		case tgAccept:
			return accepted
		case tgDrop, tgReject:
			return denied
		case tgReturn:
			return back
		case tgJump:
			if v := o.chain(r.target.chain, p); v != back {
				return v
			}
		case tgGoto:
			return o.chain(r.target.chain, p)
		default:
			if v := o.act(r, p); v != back {
				return v
			}
		}
	}
	return back
}

// act carries out the other targets; back means go on.
func (o *oracle) act(r *Rule, p *oraclePacket) oracleVerdict {
	t := &r.target
	switch t.kind {
	case tgMark:
		p.mark = p.mark&^t.mark.mask ^ t.mark.value
	case tgConnmark:
		if p.ct == nil {
			return back
		}
		switch {
		case t.mark.save:
			p.ct.mark = p.ct.mark&^t.mark.ctmask ^ p.mark&t.mark.nfmask
		case t.mark.restore:
			p.mark = p.mark&^t.mark.nfmask ^ p.ct.mark&t.mark.ctmask
		default:
			p.ct.mark = p.ct.mark&^t.mark.mask ^ t.mark.value
		}
	case tgNotrack:
		if !p.template {
			p.template, p.untracked, p.state = true, true, "UNTRACKED"
		}
	case tgZone:
		if !p.template {
			p.template, p.zone = true, t.zone
			p.ct, p.state = &oracleConn{}, "NEW" // the template itself
		}
	case tgRedirect, tgDNAT:
		p.ct.newDst = o.redir
		if t.nat.hasAddr {
			p.ct.newDst = t.nat.lo
		} else if t.kind == tgDNAT {
			p.ct.newDst = p.dst
		}
		if t.nat.hasPort {
			p.ct.newDport = t.nat.port.lo
		}
		return accepted
	case tgUnknown:
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
	case ct == nil && p.flags&flSYN != 0, ct != nil && ct.zone != p.zone && p.flags&flSYN != 0,
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
	if p.flags&flSYN != 0 {
		ct.seenSYNACK = true
	}
	return ct
}

// flow sends the handshake and some data, and reports whether all passes.
func (o *oracle) flow(src, dst word128, sport, dport uint16) bool {
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
	if !send(flSYN, false, true) || !send(flSYN|flACK, true, false) || !send(flACK, false, false) {
		return false
	}
	for range 3 {
		if !send(flACK|flPSH, false, false) || !send(flACK, true, false) || !send(flACK|flPSH, true, false) || !send(flACK, false, false) {
			return false
		}
	}
	return true
}

// lost: the flow is translated, but this packet is not in its entry.
func lost(ct *oracleConn, p *oraclePacket) bool {
	return ct != nil && p.ct != ct && (ct.dst != ct.newDst || ct.dport != ct.newDport)
}

// oracleProfile is the question that random files are about.
func oracleProfile(f Family) (rulegen.Profile, Question) {
	p := rulegen.Profile{Family: int(f), Iface: "eth0", Other: "eth1", Ports: []uint16{22, 2022}}
	link := Link{Name: "eth0"}
	if f == IPv4 {
		p.Dst = []netip.Addr{netip.MustParseAddr("192.0.2.10")}
		p.Mgmt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("172.16.5.0/24"), netip.MustParsePrefix("192.0.2.0/25")}
		link.Addresses = []netip.Prefix{netip.MustParsePrefix("192.0.2.10/24")}
	} else {
		p.Dst = []netip.Addr{netip.MustParseAddr("2001:db8:1::10")}
		p.Mgmt = []netip.Prefix{netip.MustParsePrefix("2001:db8:9::/64"), netip.MustParsePrefix("2001:db8:1::/64")}
		link.Addresses = []netip.Prefix{netip.MustParsePrefix("2001:db8:1::10/64")}
	}
	q := Question{Family: f, Iface: "eth0", Dst: p.Dst, Ports: p.Ports, Mgmt: p.Mgmt, Host: Host{Links: []Link{link}}}
	return p, q
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
		fam, backend := []Family{IPv4, IPv6}[i%2], []Backend{NFT, Legacy}[i/2%2]
		p, q := oracleProfile(fam)
		p.Uncertain = i%3 == 0
		q.Backend = backend
		text := p.File(r)
		set, err := Parse("random", []byte(text), ParseOptions{Family: fam, Backend: backend})
		if err != nil {
			t.Fatalf("file %d: %v\n%s", i, err, text)
		}
		a := newAnalysis(q, nil, []backendTables{{backend, set.Tables(0)}})
		f := a.find(a.wholeFlow) // without neighbour discovery, which takes other packets
		seen[a.result(f).Verdict]++
		o := &oracle{r: r, family: fam, tables: set.Tables(0), link: "eth0", redir: wordOf(p.Dst[0]),
			local: map[word128]bool{wordOf(p.Dst[0]): true}}
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
func (o *oracle) check(t *testing.T, a *analysis, f finding, file int, text string) {
	t.Helper()
	src := rulegen.RandomIn(o.r, a.q.Mgmt[o.r.IntN(len(a.q.Mgmt))])
	if len(f.blocked) > 0 && o.coin() {
		src = f.blocked[o.r.IntN(len(f.blocked))].lo.addr(o.family)
	}
	fl := flow{wordOf(src), uint16(1 + o.r.IntN(65535)), uint16(o.r.IntN(len(a.targets)))}
	if o.coin() {
		fl.sport = []uint16{22, 2022, 1023, 1024, 50000}[o.r.IntN(5)]
	}
	if !a.has(f.all, fl) {
		return
	}
	e := a.targets[fl.target]
	passes := o.flow(fl.src, e.addr, fl.sport, e.port)
	switch {
	case a.exhausted, a.has(f.unsure, fl):
	case passes && a.has(f.blocked, fl):
		t.Errorf("file %d: %v:%d to port %d passes, but is said to be blocked\n%s", file, src, fl.sport, e.port, text)
	case !passes && !a.has(f.blocked, fl):
		t.Errorf("file %d: %v:%d to port %d is dropped, but is said to pass\n%s", file, src, fl.sport, e.port, text)
	}
}
