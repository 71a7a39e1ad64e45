package rules

import (
	"errors"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
)

// parseStates reads a list of states; each may be cut short, the first that
// fits counts, as in the tool.
func parseStates(s string) (mask uint8, ok bool) {
	for x := range strings.SplitSeq(s, ",") {
		i := -1
		for j, w := range [...]string{"INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED", "SNAT", "DNAT"} {
			if x != "" && len(x) <= len(w) && strings.EqualFold(w[:len(x)], x) {
				i = j
				break
			}
		}
		if i < 0 {
			return 0, false
		}
		mask |= 1 << i
	}
	return mask, true
}

func parseFlags(s string) (mask uint8, ok bool) {
	for x := range strings.SplitSeq(s, ",") {
		switch up := strings.ToUpper(x); up {
		case "ALL":
			mask |= 0x3f
		case "NONE", "":
		default:
			i := -1
			for j, n := range netfilter.FlagNames {
				if n == up {
					i = j
				}
			}
			if i < 0 {
				return 0, false
			}
			mask |= 1 << i
		}
	}
	return mask, true
}

func parseAddrTypes(s string) (mask uint16, ok bool) {
	for x := range strings.SplitSeq(s, ",") {
		i := -1
		for j, w := range netfilter.AddrTypeNames {
			if x != "" && len(x) <= len(w) && strings.EqualFold(w[:len(x)], x) {
				i = j
				break
			}
		}
		if i < 0 {
			return 0, false
		}
		mask |= 1 << i
	}
	return mask, true
}

// ICMPType is one ICMP type with a range of codes; type 255 of IPv4 is any.
type ICMPType struct {
	Type           uint8
	CodeLo, CodeHi uint8
}

type icmpName struct {
	name    string
	typ     uint8
	code    int // -1 for all
	aliases string
}

func icmpNames(f netfilter.Family) []icmpName {
	if f == netfilter.IPv6 {
		return []icmpName{
			{"destination-unreachable", 1, -1, ""}, {"no-route", 1, 0, ""}, {"communication-prohibited", 1, 1, ""},
			{"beyond-scope", 1, 2, ""}, {"address-unreachable", 1, 3, ""}, {"port-unreachable", 1, 4, ""},
			{"failed-policy", 1, 5, ""}, {"reject-route", 1, 6, ""}, {"packet-too-big", 2, -1, ""},
			{"time-exceeded", 3, -1, "ttl-exceeded"}, {"ttl-zero-during-transit", 3, 0, ""},
			{"ttl-zero-during-reassembly", 3, 1, ""}, {"parameter-problem", 4, -1, ""}, {"bad-header", 4, 0, ""},
			{"unknown-header-type", 4, 1, ""}, {"unknown-option", 4, 2, ""}, {"echo-request", 128, -1, "ping"},
			{"echo-reply", 129, -1, "pong"}, {"router-solicitation", 133, -1, ""}, {"router-advertisement", 134, -1, ""},
			{"neighbour-solicitation", 135, -1, "neighbor-solicitation"},
			{"neighbour-advertisement", 136, -1, "neighbor-advertisement"}, {"redirect", 137, -1, ""},
			{"mld-listener-query", 130, -1, ""}, {"mld-listener-report", 131, -1, ""},
			{"mld-listener-done", 132, -1, "mld-listener-reduction"},
		}
	}
	return []icmpName{
		{"any", 255, -1, ""}, {"echo-reply", 0, -1, "pong"}, {"destination-unreachable", 3, -1, ""},
		{"network-unreachable", 3, 0, ""}, {"host-unreachable", 3, 1, ""}, {"protocol-unreachable", 3, 2, ""},
		{"port-unreachable", 3, 3, ""}, {"fragmentation-needed", 3, 4, ""}, {"source-route-failed", 3, 5, ""},
		{"network-unknown", 3, 6, ""}, {"host-unknown", 3, 7, ""}, {"network-prohibited", 3, 9, ""},
		{"host-prohibited", 3, 10, ""}, {"TOS-network-unreachable", 3, 11, ""}, {"TOS-host-unreachable", 3, 12, ""},
		{"communication-prohibited", 3, 13, ""}, {"host-precedence-violation", 3, 14, ""},
		{"precedence-cutoff", 3, 15, ""}, {"source-quench", 4, -1, ""}, {"redirect", 5, -1, ""},
		{"network-redirect", 5, 0, ""}, {"host-redirect", 5, 1, ""}, {"TOS-network-redirect", 5, 2, ""},
		{"TOS-host-redirect", 5, 3, ""}, {"echo-request", 8, -1, "ping"}, {"router-advertisement", 9, -1, ""},
		{"router-solicitation", 10, -1, ""}, {"time-exceeded", 11, -1, "ttl-exceeded"},
		{"ttl-zero-during-transit", 11, 0, ""}, {"ttl-zero-during-reassembly", 11, 1, ""},
		{"parameter-problem", 12, -1, ""}, {"ip-header-bad", 12, 0, ""}, {"required-option-missing", 12, 1, ""},
		{"timestamp-request", 13, -1, ""}, {"timestamp-reply", 14, -1, ""}, {"address-mask-request", 17, -1, ""},
		{"address-mask-reply", 18, -1, ""},
	}
}

// parseICMP reads a name, possibly cut short if that stays unique, or
// "type[/code]".
func parseICMP(s string, f netfilter.Family) (ICMPType, bool) {
	hits := 0
	var hit icmpName
	for _, n := range icmpNames(f) {
		for _, w := range []string{n.name, n.aliases} {
			if w != "" && len(s) <= len(w) && strings.EqualFold(w[:len(s)], s) {
				hits++
				hit = n
			}
		}
	}
	switch {
	case hits > 1:
		return ICMPType{}, false
	case hits == 1 && hit.code < 0:
		return ICMPType{hit.typ, 0, 255}, true
	case hits == 1:
		return ICMPType{hit.typ, uint8(hit.code), uint8(hit.code)}, true
	}
	t, c, hasCode := strings.Cut(s, "/")
	typ, ok := lex.Number(t, 0, 255)
	if !ok {
		return ICMPType{}, false
	}
	r := ICMPType{uint8(typ), 0, 255}
	if hasCode {
		lo, hi, ok := codeRange(c)
		if !ok {
			return ICMPType{}, false
		}
		r.CodeLo, r.CodeHi = lo, hi
	}
	return r, true
}

func codeRange(s string) (lo, hi uint8, ok bool) {
	l, h, isRange := strings.Cut(s, ":")
	a, ok := lex.Number(l, 0, 255)
	b := a
	if isRange && ok {
		b, ok = lex.Number(h, 0, 255)
	}
	return uint8(a), uint8(b), ok
}

// parseAddrRange reads "address[-address]" of the iprange match. A reversed
// range is accepted and never matches.
func parseAddrRange(s string, f netfilter.Family) (netset.Span, bool) {
	a, b, isRange := strings.Cut(s, "-")
	if !isRange {
		b = a
	}
	lo, ok1 := numericAddr(a, f)
	hi, ok2 := numericAddr(b, f)
	return netset.Span{Lo: lo, Hi: hi}, ok1 && ok2
}

// NATRange is where DNAT, REDIRECT and SNAT send to.
type NATRange struct {
	HasAddr  bool
	Lo, Hi   netset.Addr
	HasPort  bool
	Port     netset.PortRange
	Shifting bool // port/base: the port is shifted
}

// parseNAT reads "[address[-address]][:port[-port[/base]]]", or the port part
// alone.
func (p *ruleParser) parseNAT(s string, portsOnly bool) (r NATRange, err error) {
	addr, port, hasPort := s, "", false
	if portsOnly {
		addr, port, hasPort = "", s, true
	} else if i := natColon(s, p.family); i >= 0 {
		addr, port, hasPort = s[:i], s[i+1:], true
	}
	if hasPort {
		if err := p.natPorts(port, portsOnly, &r); err != nil {
			return r, err
		}
	}
	addr = strings.TrimPrefix(strings.TrimSuffix(addr, "]"), "[")
	if addr == "" && hasPort {
		return r, nil
	}
	a, b, isRange := strings.Cut(addr, "-")
	if !isRange {
		b = a
	}
	var ok1, ok2 bool
	r.Lo, ok1 = plainAddr(a, p.family)
	r.Hi, ok2 = plainAddr(b, p.family)
	if r.HasAddr = addr != ""; !ok1 || !ok2 {
		return r, errors.New("bad IP address \"" + addr + "\"")
	}
	return r, nil
}

// natColon finds the colon before the port: the only one, or the one behind ].
func natColon(s string, f netfilter.Family) int {
	if i := strings.IndexByte(s, ']'); i >= 0 && f == netfilter.IPv6 {
		if j := strings.IndexByte(s[i:], ':'); j >= 0 {
			return i + j
		}
		return -1
	}
	if strings.Count(s, ":") != 1 {
		return -1
	}
	return strings.IndexByte(s, ':')
}

func (p *ruleParser) natPorts(s string, portsOnly bool, r *NATRange) error {
	switch p.protoNum {
	case 1, 6, 17, 33, 132:
	default:
		return errors.New("need TCP, UDP, SCTP or DCCP with port specification")
	}
	bad := errors.New("port `" + s + "' not valid")
	if _, _, numeric := lex.NumberPrefix(s); !numeric {
		port, err := p.names.anyService(s)
		if p.resolved(err) != nil {
			return bad
		}
		r.HasPort, r.Port = true, netset.PortRange{Lo: port, Hi: port}
		return nil
	}
	s, base, shifting := strings.Cut(s, "/")
	lo, hi, isRange := strings.Cut(s, "-")
	a, ok := lex.Number(lo, 0, 65535)
	b := a
	if isRange && ok {
		b, ok = lex.Number(hi, a, 65535)
	}
	if !ok || shifting && (!isRange || portsOnly) {
		return bad
	}
	r.HasPort, r.Port, r.Shifting = true, netset.PortRange{Lo: uint16(a), Hi: uint16(b)}, shifting
	if _, ok := lex.Number(base, 1, 65535); shifting && !ok {
		if _, _, numeric := lex.NumberPrefix(base); numeric {
			return bad
		}
		_, err := p.names.anyService(base)
		return p.resolved(err)
	}
	return nil
}
