package iptables

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// IPSets are the sets of a file as `ipset save` writes it. A nil *IPSets means
// that no set exists.
type IPSets struct {
	sets map[string]*ipset
	// known are the contents that were asked for.
	known map[string]setContent
	work  int
}

// setContent is the content of a set, or why it is not known.
type setContent struct {
	set *addrSet
	why string
}

// ipset is one set.
type ipset struct {
	name   string
	family Family // 0 where the type has none (mac) or holds both
	// types are the dimensions: ip, net, port, mac, iface, mark ...
	types []string
	// spans are the addresses of an ip or net set of one dimension, without the
	// entries marked nomatch, which are in except.
	spans, except []span
	// pairs are the entries of an ip,port or net,port set.
	pairs []addrPort
	// uncertain says why the content at run time is not known.
	uncertain string
	members   []string // of a list:set
}

// addrPort is an entry with an address range and a port range of a protocol.
type addrPort struct {
	addrs span
	proto uint8
	ports portRange
}

// ParseIPSets reads `ipset save` output. What it does not understand of an
// entry makes that set uncertain; only a line that is no command is an error.
func ParseIPSets(name string, text []byte) (*IPSets, error) {
	s := &IPSets{sets: map[string]*ipset{}}
	sc := bufio.NewScanner(bytes.NewReader(text))
	sc.Buffer(nil, 1<<20)
	n := 0
	for sc.Scan() {
		n++
		if why := s.command(strings.Fields(sc.Text())); why != "" {
			return s, &ParseError{File: name, Line: n, Text: sc.Text(), Why: why}
		}
	}
	if err := sc.Err(); err != nil {
		return s, &ParseError{File: name, Line: n + 1, Why: err.Error()}
	}
	return s, nil
}

func (s *IPSets) command(w []string) string {
	if len(w) > 0 && w[0] == "ipset" {
		w = w[1:]
	}
	for len(w) > 0 && strings.HasPrefix(w[0], "-") && len(w[0]) == 2 && strings.Contains("-! -q", w[0]) {
		w = w[1:]
	}
	if len(w) == 0 || strings.HasPrefix(w[0], "#") || w[0] == "COMMIT" {
		return ""
	}
	switch w[0] {
	case "create", "-N", "--create", "n":
		return s.create(w)
	case "add", "-A", "--add":
		return s.add(w)
	case "flush", "-F", "--flush":
		if s.work += len(s.sets); s.work > maxWork {
			return fmt.Sprintf("sets are flushed more than %d times: write the file as ipset save does", maxWork)
		}
		for _, x := range s.sets {
			if len(w) < 2 || x.name == w[1] {
				x.spans, x.except, x.pairs, x.members = nil, nil, nil, nil
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
				x.uncertain = "changed by " + w[0]
			}
		}
		if (w[0] == "rename" || w[0] == "-E") && len(w) > 2 {
			s.sets[w[2]] = s.sets[w[1]]
			delete(s.sets, w[1])
		}
	default:
		return fmt.Sprintf("unknown ipset command %q", w[0])
	}
	return ""
}

func (s *IPSets) create(w []string) string {
	if len(w) < 3 {
		return "create needs a name and a type"
	}
	x := &ipset{name: w[1], family: IPv4}
	_, dims, ok := strings.Cut(w[2], ":")
	if !ok {
		x.uncertain = "set type " + w[2]
	}
	x.types = strings.Split(dims, ",")
	if w[2] == "list:set" || x.types[0] == "mac" || w[2] == "bitmap:port" {
		x.family = 0
	}
	for i, o := range w[3:] {
		switch {
		case o == "inet6" && w[2+i] == "family":
			x.family = IPv6
		case o == "timeout":
			x.uncertain = "its entries expire"
		case o == "netmask" || o == "bitmask":
			x.uncertain = o + " option"
		}
	}
	s.sets[x.name] = x
	return ""
}

func (s *IPSets) add(w []string) string {
	if len(w) < 3 {
		return "add needs a set and an entry"
	}
	x := s.sets[w[1]]
	if x == nil {
		return fmt.Sprintf("set %q does not exist", w[1])
	}
	nomatch, comment := false, false
	for _, o := range w[3:] {
		comment = comment || o == "comment"
		nomatch = nomatch || o == "nomatch"
		if o == "timeout" {
			x.uncertain = "its entries expire"
		}
	}
	if nomatch && comment {
		x.uncertain = "a comment that may hold an option"
	}
	if why := x.entry(w[2], nomatch); why != "" && x.uncertain == "" {
		x.uncertain = why
	}
	return ""
}

// entry adds one element; a reason says that it is not modelled.
func (x *ipset) entry(e string, nomatch bool) string {
	switch dims := strings.Join(x.types, ","); dims {
	case "ip", "net":
		sp, ok := entrySpan(e, x.family)
		switch {
		case !ok:
			return "entry " + e
		case nomatch:
			x.except = append(x.except, sp)
		default:
			x.spans = append(x.spans, sp)
		}
		return ""
	case "ip,port", "net,port":
		return x.pairEntry(e)
	case "set":
		x.members = append(x.members, e)
		return ""
	default:
		return "set type " + dims
	}
}

func (x *ipset) pairEntry(e string) string {
	a, p, _ := strings.Cut(e, ",")
	sp, ok := entrySpan(a, x.family)
	proto, ports, hasProto := strings.Cut(p, ":")
	if !hasProto {
		proto, ports = "tcp", p
	}
	num, known, why := Names{}.protocol(proto)
	lo, hi, isRange := strings.Cut(ports, "-")
	if !isRange {
		hi = lo
	}
	l, ok1 := number(lo, 0, 65535)
	h, ok2 := number(hi, 0, 65535)
	if !ok || !known || why != "" || !ok1 || !ok2 {
		return "entry " + e
	}
	x.pairs = append(x.pairs, addrPort{sp, num, portRange{uint16(l), uint16(h)}})
	return ""
}

// entrySpan reads an address, a prefix or a range.
func entrySpan(e string, f Family) (span, bool) {
	if a, b, ok := strings.Cut(e, "-"); ok {
		lo, ok1 := plainAddr(a, f)
		hi, ok2 := plainAddr(b, f)
		return span{lo, hi}, ok1 && ok2
	}
	p, err := parsePrefix(e)
	if err != nil || !f.of(p.Addr()) || p.Addr() == (netip.Addr{}) {
		return span{}, false
	}
	return spanOfPrefix(p), true
}

// refuses says why a rule with that set would not load.
func (s *IPSets) refuses(name string, f Family) string {
	if s == nil || s.sets[name] == nil {
		return fmt.Sprintf("set %s doesn't exist", name)
	}
	if x := s.sets[name]; x.family != 0 && x.family != f {
		return fmt.Sprintf("the protocol family of set %s is not applicable", name)
	}
	return ""
}

// addresses is the content of a one-dimensional address set; why is set where
// it is not known.
func (s *IPSets) addresses(name string, depth int) (set *addrSet, why string) {
	if s == nil {
		return nil, "set is not known"
	}
	c, ok := s.known[name]
	if !ok {
		c.set, c.why = s.content(name, depth)
		if s.known == nil {
			s.known = map[string]setContent{}
		}
		s.known[name] = c
	}
	return c.set, c.why
}

func (s *IPSets) content(name string, depth int) (set *addrSet, why string) {
	x := s.get(name)
	switch {
	case x == nil:
		return nil, "set is not known"
	case x.uncertain != "":
		return nil, x.uncertain
	case len(x.types) == 1 && x.types[0] == "set":
		return s.union(x, depth)
	case len(x.types) != 1 || x.types[0] != "ip" && x.types[0] != "net":
		return nil, "set type " + strings.Join(x.types, ",")
	case len(x.except) > 0:
		return x.withExceptions()
	}
	return newAddrSet(slices.Clone(x.spans)), ""
}

// withExceptions is the content of a set with nomatch entries: of the networks
// that hold an address the narrowest counts (ipset(8), hash:net).
func (x *ipset) withExceptions() (*addrSet, string) {
	in, out := map[word128][]span{}, map[word128][]span{}
	var sizes []word128
	for _, list := range []struct {
		by    map[word128][]span
		spans []span
	}{{in, x.spans}, {out, x.except}} {
		for _, s := range list.spans {
			size := s.lo.xor(s.hi) // a network's host bits, all ones
			if size.and(size.next()) != (word128{}) || s.lo.and(size) != (word128{}) {
				return nil, "a range beside nomatch entries"
			}
			list.by[size] = append(list.by[size], s)
			sizes = append(sizes, size)
		}
	}
	slices.SortFunc(sizes, func(a, b word128) int { return b.compare(a) })
	set := &addrSet{}
	for _, size := range slices.Compact(sizes) {
		set = newAddrSet(slices.Concat(set.spans, in[size]))
		set = set.intersect(newAddrSet(out[size]).complement(x.family))
	}
	return set, ""
}

// written marks a set, and the members of a list, as changed by rules.
func (s *IPSets) written(name string, depth int) {
	x := s.get(name)
	const why = "rules add to it or delete from it"
	if x == nil || depth > 8 || x.uncertain == why {
		return
	}
	x.uncertain = why
	for _, m := range x.members {
		s.written(m, depth+1)
	}
}

func (s *IPSets) union(x *ipset, depth int) (*addrSet, string) {
	if depth > 8 {
		return nil, "lists of lists"
	}
	var all []span
	for _, m := range x.members {
		a, why := s.addresses(m, depth+1)
		if why != "" {
			return nil, why
		}
		all = append(all, a.spans...)
	}
	return newAddrSet(all), ""
}

func (s *IPSets) get(name string) *ipset {
	if s == nil {
		return nil
	}
	return s.sets[name]
}
