package rules

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/netset"
)

// IPSets are the sets of a file as `ipset save` writes it. A nil *IPSets means
// that no set exists.
type IPSets struct {
	sets map[string]*IPSet
	// known are the contents that were asked for.
	known map[string]setContent
	work  int
}

// setContent is the content of a set, or why it is not known.
type setContent struct {
	set *netset.AddrSet
	err error
}

// IPSet is one set.
type IPSet struct {
	name   string
	family netfilter.Family // 0 where the type has none (mac) or holds both
	// Types are the dimensions: ip, net, port, mac, iface, mark ...
	Types []string
	// spans are the addresses of an ip or net set of one dimension, without the
	// entries marked nomatch, which are in except.
	spans, except []netset.Span
	// Pairs are the entries of an ip,port or net,port set.
	Pairs []addrPort
	// Uncertain says why the content at run time is not known.
	Uncertain string
	members   []string // of a list:set
}

// addrPort is an entry with an address range and a port range of a protocol.
type addrPort struct {
	Addrs netset.Span
	Proto uint8
	Ports netset.PortRange
}

// ParseIPSets reads `ipset save` output. What it does not understand of an
// entry makes that set uncertain; only a line that is no command is an error.
func ParseIPSets(name string, text []byte) (*IPSets, error) {
	s := &IPSets{sets: map[string]*IPSet{}}
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, 1<<20)
	n := 0
	for sc.Scan() {
		n++
		if err := s.command(strings.Fields(sc.Text())); err != nil {
			return s, &ParseError{File: name, Line: n, Text: sc.Text(), Why: err.Error()}
		}
	}
	if err := sc.Err(); err != nil {
		return s, &ParseError{File: name, Line: n + 1, Why: err.Error()}
	}
	return s, nil
}

func (s *IPSets) command(w []string) error {
	if len(w) > 0 && w[0] == "ipset" {
		w = w[1:]
	}
	for len(w) > 0 && strings.HasPrefix(w[0], "-") && len(w[0]) == 2 && strings.Contains("-! -q", w[0]) {
		w = w[1:]
	}
	if len(w) == 0 || strings.HasPrefix(w[0], "#") || w[0] == "COMMIT" {
		return nil
	}
	switch w[0] {
	case "create", "-N", "--create", "n":
		return s.create(w)
	case "add", "-A", "--add":
		return s.add(w)
	case "flush", "-F", "--flush":
		if s.work += len(s.sets); s.work > netfilter.MaxFileWork {
			return fmt.Errorf("sets are flushed more than %d times: write the file as ipset save does", netfilter.MaxFileWork)
		}
		for _, x := range s.sets {
			if len(w) < 2 || x.name == w[1] {
				x.spans, x.except, x.Pairs, x.members = nil, nil, nil, nil
			}
		}
	case "destroy", "-X", "--destroy", "x":
		if len(w) < 2 {
			clear(s.sets)
		} else {
			delete(s.sets, w[1])
		}
	case "swap", "rename", "del", "-D", "-W", "-E":
		for _, n := range w[1:] {
			if x := s.sets[n]; x != nil {
				x.Uncertain = "changed by " + w[0]
			}
		}
		if (w[0] == "rename" || w[0] == "-E") && len(w) > 2 {
			s.sets[w[2]] = s.sets[w[1]]
			delete(s.sets, w[1])
		}
	default:
		return fmt.Errorf("unknown ipset command %q", w[0])
	}
	return nil
}

func (s *IPSets) create(w []string) error {
	if len(w) < 3 {
		return errors.New("create needs a name and a type")
	}
	x := &IPSet{name: w[1], family: netfilter.IPv4}
	_, dims, ok := strings.Cut(w[2], ":")
	if !ok {
		x.Uncertain = "set type " + w[2]
	}
	x.Types = strings.Split(dims, ",")
	if w[2] == "list:set" || x.Types[0] == "mac" || w[2] == "bitmap:port" {
		x.family = 0
	}
	for i, o := range w[3:] {
		switch {
		case o == "inet6" && w[2+i] == "family":
			x.family = netfilter.IPv6
		case o == "timeout":
			x.Uncertain = "its entries expire"
		case o == "netmask" || o == "bitmask":
			x.Uncertain = o + " option"
		}
	}
	s.sets[x.name] = x
	return nil
}

func (s *IPSets) add(w []string) error {
	if len(w) < 3 {
		return errors.New("add needs a set and an entry")
	}
	x := s.sets[w[1]]
	if x == nil {
		return fmt.Errorf("set %q does not exist", w[1])
	}
	nomatch, comment := false, false
	for _, o := range w[3:] {
		comment = comment || o == "comment"
		nomatch = nomatch || o == "nomatch"
		if o == "timeout" {
			x.Uncertain = "its entries expire"
		}
	}
	if nomatch && comment {
		x.Uncertain = "a comment that may hold an option"
	}
	if err := x.entry(w[2], nomatch); err != nil && x.Uncertain == "" {
		x.Uncertain = err.Error()
	}
	return nil
}

// entry adds one element; a reason says that it is not modelled.
func (x *IPSet) entry(e string, nomatch bool) error {
	switch dims := strings.Join(x.Types, ","); dims {
	case "ip", "net":
		sp, ok := entrySpan(e, x.family)
		switch {
		case !ok:
			return errors.New("entry " + e)
		case nomatch:
			x.except = append(x.except, sp)
		default:
			x.spans = append(x.spans, sp)
		}
		return nil
	case "ip,port", "net,port":
		return x.pairEntry(e)
	case "set":
		x.members = append(x.members, e)
		return nil
	default:
		return errors.New("set type " + dims)
	}
}

func (x *IPSet) pairEntry(e string) error {
	a, p, _ := strings.Cut(e, ",")
	sp, ok := entrySpan(a, x.family)
	proto, ports, hasProto := strings.Cut(p, ":")
	if !hasProto {
		proto, ports = "tcp", p
	}
	num, err := Names{}.protocol(proto)
	lo, hi, isRange := strings.Cut(ports, "-")
	if !isRange {
		hi = lo
	}
	l, ok1 := lex.Number(lo, 0, 65535)
	h, ok2 := lex.Number(hi, 0, 65535)
	if !ok || err != nil || !ok1 || !ok2 {
		return errors.New("entry " + e)
	}
	x.Pairs = append(x.Pairs, addrPort{sp, num, netset.PortRange{Lo: uint16(l), Hi: uint16(h)}})
	return nil
}

// entrySpan reads an address, a prefix or a range.
func entrySpan(e string, f netfilter.Family) (netset.Span, bool) {
	if a, b, ok := strings.Cut(e, "-"); ok {
		lo, ok1 := plainAddr(a, f)
		hi, ok2 := plainAddr(b, f)
		return netset.Span{Lo: lo, Hi: hi}, ok1 && ok2
	}
	p, err := netset.ParsePrefix(e)
	if err != nil || !f.Of(p.Addr()) || p.Addr() == (netip.Addr{}) {
		return netset.Span{}, false
	}
	return netset.SpanOf(p), true
}

// refuses says why a rule with that set would not load.
func (s *IPSets) refuses(name string, f netfilter.Family) error {
	if s == nil || s.sets[name] == nil {
		return fmt.Errorf("set %s doesn't exist", name)
	}
	if x := s.sets[name]; x.family != 0 && x.family != f {
		return fmt.Errorf("the protocol family of set %s is not applicable", name)
	}
	return nil
}

// Addresses is the content of a one-dimensional address set; why is set where
// it is not known.
func (s *IPSets) Addresses(name string, depth int) (set *netset.AddrSet, err error) {
	if s == nil {
		return nil, errors.New("set is not known")
	}
	c, ok := s.known[name]
	if !ok {
		c.set, c.err = s.content(name, depth)
		if s.known == nil {
			s.known = map[string]setContent{}
		}
		s.known[name] = c
	}
	return c.set, c.err
}

func (s *IPSets) content(name string, depth int) (set *netset.AddrSet, err error) {
	x := s.Set(name)
	switch {
	case x == nil:
		return nil, errors.New("set is not known")
	case x.Uncertain != "":
		return nil, errors.New(x.Uncertain)
	case len(x.Types) == 1 && x.Types[0] == "set":
		return s.union(x, depth)
	case len(x.Types) != 1 || x.Types[0] != "ip" && x.Types[0] != "net":
		return nil, errors.New("set type " + strings.Join(x.Types, ","))
	case len(x.except) > 0:
		return x.withExceptions()
	}
	return netset.NewAddrSet(slices.Clone(x.spans)), nil
}

// withExceptions is the content of a set with nomatch entries: of the networks
// that hold an address the narrowest counts (ipset(8), hash:net).
func (x *IPSet) withExceptions() (*netset.AddrSet, error) {
	in, out := map[netset.Addr][]netset.Span{}, map[netset.Addr][]netset.Span{}
	var sizes []netset.Addr
	for _, list := range []struct {
		by    map[netset.Addr][]netset.Span
		spans []netset.Span
	}{{in, x.spans}, {out, x.except}} {
		for _, s := range list.spans {
			size := s.Lo.Xor(s.Hi) // a network's host bits, all ones
			if size.And(size.Next()) != (netset.Addr{}) || s.Lo.And(size) != (netset.Addr{}) {
				return nil, errors.New("a range beside nomatch entries")
			}
			list.by[size] = append(list.by[size], s)
			sizes = append(sizes, size)
		}
	}
	slices.SortFunc(sizes, func(a, b netset.Addr) int { return b.Compare(a) })
	set := &netset.AddrSet{}
	for _, size := range slices.Compact(sizes) {
		set = netset.NewAddrSet(slices.Concat(set.Spans, in[size]))
		set = set.Intersect(netset.NewAddrSet(out[size]).Complement(x.family))
	}
	return set, nil
}

// MarkWritten marks a set, and the members of a list, as changed by rules.
func (s *IPSets) MarkWritten(name string, depth int) {
	x := s.Set(name)
	const why = "rules add to it or delete from it"
	if x == nil || depth > 8 || x.Uncertain == why {
		return
	}
	x.Uncertain = why
	for _, m := range x.members {
		s.MarkWritten(m, depth+1)
	}
}

func (s *IPSets) union(x *IPSet, depth int) (*netset.AddrSet, error) {
	if depth > 8 {
		return nil, errors.New("lists of lists")
	}
	var all []netset.Span
	for _, m := range x.members {
		a, err := s.Addresses(m, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, a.Spans...)
	}
	return netset.NewAddrSet(all), nil
}

// Set is the set of that name, nil if there is none.
func (s *IPSets) Set(name string) *IPSet {
	if s == nil {
		return nil
	}
	return s.sets[name]
}
