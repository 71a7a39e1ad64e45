package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
)

// compile turns a parsed line into rules: a list of sources or destinations
// makes one rule for each pair.
func (p *ruleParser) compile() ([]*Rule, error) {
	srcs, err := p.hosts(p.src, 's')
	if err != nil {
		return nil, err
	}
	dsts, err := p.hosts(p.dst, 'd')
	if err != nil {
		return nil, err
	}
	if len(srcs)*len(dsts) > 1 && (p.isInverted('s') || p.isInverted('d')) {
		return nil, p.errAt(p.src, "! not allowed with multiple source or destination IP addresses")
	}
	if p.cmd == 'R' && len(srcs)*len(dsts) != 1 {
		return nil, p.errAt(p.src, "replacement rule does not specify a unique address")
	}
	proto, err := p.compileCommon()
	if err != nil {
		return nil, err
	}
	out := p.rules[:0]
	for _, s := range srcs {
		for _, d := range dsts {
			r := *proto
			r.bare = r.bare && s.mask == (netset.Addr{}) && d.mask == (netset.Addr{})
			r.Src, r.SrcMask = r.narrow(r.Src, s, p.isInverted('s'), p.family)
			r.Dst, r.DstMask = r.narrow(r.Dst, d, p.isInverted('d'), p.family)
			out = append(out, &r)
		}
	}
	p.rules = out
	return out, nil
}

// hosts reads the list after -s or -d; nothing given is one host that matches
// all.
func (p *ruleParser) hosts(w lex.Word, c byte) ([]host, error) {
	buf := &p.buffers.hosts[0]
	if c == 'd' {
		buf = &p.buffers.hosts[1]
	}
	out := (*buf)[:0]
	defer func() { *buf = out }()
	if !p.has(c) {
		return append(out, host{}), nil
	}
	for s := range strings.SplitSeq(w.Text, ",") {
		h, err := parseHost(strings.TrimLeft(s, " \t\n\v\f\r"), p.family)
		if err != nil {
			return nil, p.errAt(w, err.Error())
		}
		if h.name != "" {
			p.uncertain = append(p.uncertain, fmt.Sprintf("host name %q", h.name))
		}
		if h.mask == (netset.Addr{}) && p.isInverted(c) && p.backend == netfilter.NFT {
			p.refusal = p.errAt(w, "nf_tables refuses to match nothing")
		}
		out = append(out, h)
	}
	return out, nil
}

// narrow restricts what a rule has of addresses to those of a host; a mask with
// holes is kept beside them.
func (r *Rule) narrow(have *netset.AddrSet, h host, inv bool, f netfilter.Family) (*netset.AddrSet, *netset.MaskSet) {
	switch {
	case h.mask == (netset.Addr{}) && !inv:
		return have, nil
	case h.name != "":
		r.Unmodelled = append(r.Unmodelled[:len(r.Unmodelled):len(r.Unmodelled)], "dns")
		return have, nil
	case !h.contiguous(f):
		return have, &netset.MaskSet{Addr: h.addr, Mask: h.mask, Inv: inv}
	}
	s := netset.NewAddrSet([]netset.Span{h.span(f)})
	if inv {
		s = s.Complement(f)
	}
	return have.Intersect(s), nil
}

// compileCommon makes the part that all rules of a line share.
func (p *ruleParser) compileCommon() (*Rule, error) {
	r := &Rule{
		File: p.file, Line: p.lineNo, Text: strings.TrimSpace(p.line),
		In: p.iface('i', p.in), Out: p.iface('o', p.out),
		Proto: p.protoNum, ProtoInv: p.isInverted('p'),
	}
	if p.proto != "" && r.Proto == 0 {
		if _, err := p.names.protocol(p.proto); errors.Is(err, errUnresolved) {
			r.Unmodelled = append(r.Unmodelled, "protocol")
		}
	}
	if p.perhaps != "" {
		r.Unmodelled = append(r.Unmodelled, p.perhaps)
	}
	if p.has('f') {
		r.Frag = 1
		if p.isInverted('f') {
			r.Frag = -1
		}
	}
	r.bare = r.Proto == 0 && !p.has('i') && !p.has('o') && !p.has('f') && !(p.has('p') && p.family == netfilter.IPv6)
	for _, l := range p.exts {
		if l == p.target {
			continue
		}
		r.bare = false
		if err := p.checkMatchProtocol(l); err != nil {
			return nil, p.errAt(lex.Word{}, err.Error())
		}
		p.compileMatch(r, l)
	}
	if err := p.compileTarget(r); err != nil {
		return nil, p.errAt(lex.Word{}, err.Error())
	}
	return r, nil
}

func (p *ruleParser) iface(c byte, name string) LinkMatch {
	if name == "" {
		return LinkMatch{}
	}
	f := LinkMatch{Name: name, Inv: p.isInverted(c)}
	if strings.HasSuffix(name, "+") {
		f.Name, f.Any = name[:len(name)-1], true
	}
	return f
}

// only is one or more protocols of which a rule with the match must have one.
func only(protocols ...uint8) func(*extensionUse, netfilter.Family) []uint8 {
	return func(*extensionUse, netfilter.Family) []uint8 { return protocols }
}

// onlyIPv4 is a protocol that is asked for in IPv4 alone.
func onlyIPv4(protocol uint8) func(*extensionUse, netfilter.Family) []uint8 {
	return func(_ *extensionUse, f netfilter.Family) []uint8 {
		if f == netfilter.IPv4 {
			return []uint8{protocol}
		}
		return nil
	}
}

// ecnProtocol: the bits of the TCP header need TCP.
func ecnProtocol(u *extensionUse, _ netfilter.Family) []uint8 {
	if u.gave("ecn-tcp-cwr") || u.gave("ecn-tcp-ece") {
		return []uint8{6}
	}
	return nil
}

// checkMatchProtocol says where the kernel would refuse a match because of
// the rule's protocol.
func (p *ruleParser) checkMatchProtocol(u *extensionUse) error {
	if u.ext == nil || u.ext.protocols == nil {
		return nil
	}
	want := u.ext.protocols(u, p.family)
	if want == nil || p.backend == netfilter.NFT && p.isInverted('p') {
		return nil
	}
	if slices.Contains(want, p.protoNum) && !p.isInverted('p') {
		return nil
	}
	if _, err := p.names.protocol(p.proto); p.proto != "" && errors.Is(err, errUnresolved) {
		return nil
	}
	return fmt.Errorf("%s match needs its own protocol (-p)", u.ext.name)
}
