package iptables

import (
	"fmt"
	"strings"
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
			r.bare = r.bare && s.mask == (word128{}) && d.mask == (word128{})
			r.src, r.srcMask = r.narrow(r.src, s, p.isInverted('s'), p.family)
			r.dst, r.dstMask = r.narrow(r.dst, d, p.isInverted('d'), p.family)
			out = append(out, &r)
		}
	}
	p.rules = out
	return out, nil
}

// hosts reads the list after -s or -d; nothing given is one host that matches
// all.
func (p *ruleParser) hosts(w word, c byte) ([]host, error) {
	buf := &p.hostBuf[0]
	if c == 'd' {
		buf = &p.hostBuf[1]
	}
	out := (*buf)[:0]
	defer func() { *buf = out }()
	if !p.has(c) {
		return append(out, host{}), nil
	}
	for s := range strings.SplitSeq(w.text, ",") {
		h, why := parseHost(strings.TrimLeft(s, " \t\n\v\f\r"), p.family)
		if why != "" {
			return nil, p.errAt(w, why)
		}
		if h.name != "" {
			p.uncertain = append(p.uncertain, fmt.Sprintf("host name %q", h.name))
		}
		if h.mask == (word128{}) && p.isInverted(c) && p.backend == NFT {
			p.refusal = p.errAt(w, "nf_tables refuses to match nothing")
		}
		out = append(out, h)
	}
	return out, nil
}

// narrow restricts what a rule has of addresses to those of a host; a mask with
// holes is kept beside them.
func (r *Rule) narrow(have *addrSet, h host, inv bool, f Family) (*addrSet, *maskSet) {
	switch {
	case h.mask == (word128{}) && !inv:
		return have, nil
	case h.name != "":
		r.unknown = append(r.unknown[:len(r.unknown):len(r.unknown)], "dns")
		return have, nil
	case !h.contiguous(f):
		return have, &maskSet{h.addr, h.mask, inv}
	}
	s := newAddrSet([]span{h.span(f)})
	if inv {
		s = s.complement(f)
	}
	return have.intersect(s), nil
}

// compileCommon makes the part that all rules of a line share.
func (p *ruleParser) compileCommon() (*Rule, error) {
	r := &Rule{
		File: p.file, Line: p.lineNo, Text: strings.TrimSpace(p.line),
		in: p.iface('i', p.in), out: p.iface('o', p.out),
		proto: p.protoNum, protoInv: p.isInverted('p'),
	}
	if p.proto != "" && r.proto == 0 {
		if _, known, _ := p.names.protocol(p.proto); !known {
			r.unknown = append(r.unknown, "protocol")
		}
	}
	if p.perhaps != "" {
		r.unknown = append(r.unknown, p.perhaps)
	}
	if p.has('f') {
		r.frag = 1
		if p.isInverted('f') {
			r.frag = -1
		}
	}
	r.bare = r.proto == 0 && !p.has('i') && !p.has('o') && !p.has('f') && !(p.has('p') && p.family == IPv6)
	for _, l := range p.exts {
		if l == p.target {
			continue
		}
		r.bare = false
		if why := p.checkMatchProtocol(l); why != "" {
			return nil, p.errAt(word{}, why)
		}
		p.compileMatch(r, l)
	}
	if why := p.compileTarget(r); why != "" {
		return nil, p.errAt(word{}, why)
	}
	return r, nil
}

func (p *ruleParser) iface(c byte, name string) iface {
	if name == "" {
		return iface{}
	}
	f := iface{name: name, inv: p.isInverted(c)}
	if strings.HasSuffix(name, "+") {
		f.name, f.any = name[:len(name)-1], true
	}
	return f
}

// matchProtocols are the protocols that the kernel's matches insist on.
func matchProtocol(name string, f Family) []uint8 {
	switch name {
	case "tcp", "tcpmss":
		return []uint8{6}
	case "udp":
		return []uint8{17, 136}
	case "icmp":
		return []uint8{1}
	case "icmp6":
		return []uint8{58}
	case "sctp":
		return []uint8{132}
	case "dccp":
		return []uint8{33}
	case "esp":
		return []uint8{50}
	case "ipcomp":
		return []uint8{108}
	case "osf":
		return []uint8{6}
	case "ah":
		if f == IPv4 {
			return []uint8{51}
		}
	case "mh":
		return []uint8{135}
	}
	return nil
}

// checkMatchProtocol says where the kernel would refuse a match because of
// the rule's protocol.
func (p *ruleParser) checkMatchProtocol(l *loaded) string {
	if l.ext == nil {
		return ""
	}
	want := matchProtocol(l.ext.name, p.family)
	if l.ext.name == "ecn" && (l.gave("ecn-tcp-cwr") || l.gave("ecn-tcp-ece")) {
		want = []uint8{6}
	}
	if want == nil || p.backend == NFT && p.isInverted('p') {
		return ""
	}
	for _, n := range want {
		if p.protoNum == n && !p.isInverted('p') {
			return ""
		}
	}
	if _, known, _ := p.names.protocol(p.proto); p.proto != "" && !known {
		return ""
	}
	return fmt.Sprintf("%s match needs its own protocol (-p)", l.ext.name)
}
