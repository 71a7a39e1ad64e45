package rules

import (
	"strconv"
	"strings"

	"lifeline/probes/iptables/netfilter"
)

// kind is the type of an option's argument.
type kind uint8

const (
	kindNone kind = iota
	kindMaybe
	kindText
	kindTwoWords
	kindU8
	kindU16
	kindU32
	kindU64
	kindU8s
	kindU16s
	kindU32s
	kindU64s
	kindNumber
	kindTOS
	kindMark
	kindLogLevel
	kindHost
	kindHostMask
	kindProtocol
	kindPort
	kindPorts
	kindTCPPorts
	kindPrefixLen
	kindMAC
)

func kindOf(name string) kind {
	switch name {
	case "maybe":
		return kindMaybe
	case "text":
		return kindText
	case "twoWords":
		return kindTwoWords
	case "u8":
		return kindU8
	case "u16":
		return kindU16
	case "u32":
		return kindU32
	case "u64":
		return kindU64
	case "u8s":
		return kindU8s
	case "u16s":
		return kindU16s
	case "u32s":
		return kindU32s
	case "u64s":
		return kindU64s
	case "number":
		return kindNumber
	case "tos":
		return kindTOS
	case "mark":
		return kindMark
	case "logLevel":
		return kindLogLevel
	case "host":
		return kindHost
	case "hostMask":
		return kindHostMask
	case "protocol":
		return kindProtocol
	case "port":
		return kindPort
	case "ports":
		return kindPorts
	case "tcpPorts":
		return kindTCPPorts
	case "prefixLen":
		return kindPrefixLen
	case "mac":
		return kindMAC
	}
	return kindNone
}

// option is one option of an extension. Aliases share the id and the first
// one's name.
type option struct {
	name     string // as written
	canon    string // the name that the rest of the package uses
	id       int
	kind     kind
	negate   bool
	must     bool
	many     bool
	min, max uint64 // max 0: no bound
	group    byte
	with     string
}

// takesArg reports whether getopt hands the option an argument.
func (o *option) takesArg() bool { return o.kind != kindNone && o.kind != kindMaybe }

// extension is a match or a target with its options.
type extension struct {
	name    string
	family  netfilter.Family
	options []option
	need    []string
	ids     int
}

// parseSpec turns the written form into options.
func parseSpec(name string, s extSpec) *extension {
	e := &extension{name: name, family: s.family, need: strings.Fields(s.need)}
	for _, f := range strings.Fields(s.options) {
		n := strings.IndexAny(f, ":!+*~&(")
		if n < 0 {
			n = len(f)
		}
		names := strings.Split(f[:n], ",")
		o := option{canon: names[0], id: e.ids}
		o.parseFlags(f[n:])
		e.ids++
		for _, o.name = range names {
			e.options = append(e.options, o)
		}
	}
	return e
}

func (o *option) parseFlags(f string) {
	if strings.HasPrefix(f, ":") {
		n := strings.IndexAny(f, "!+*~&(")
		if n < 0 {
			n = len(f)
		}
		o.kind = kindOf(f[1:n])
		f = f[n:]
	}
	for f != "" {
		c := f[0]
		f = f[1:]
		switch c {
		case '!':
			o.negate = true
		case '+':
			o.must = true
		case '*':
			o.many = true
		case '~':
			o.group, f = f[0], f[1:]
		case '&':
			o.with, f = f, ""
		case '(':
			var r string
			r, f, _ = strings.Cut(f, ")")
			lo, hi, _ := strings.Cut(r, "-")
			// A bound that is left out reads as 0.
			o.min, _ = strconv.ParseUint(lo, 10, 64)
			o.max, _ = strconv.ParseUint(hi, 10, 64)
		}
	}
}

// find returns the option with exactly this name.
func (e *extension) find(name string) *option {
	for i := range e.options {
		if e.options[i].name == name {
			return &e.options[i]
		}
	}
	return nil
}

// catalog looks extensions up by name and parses each once.
type catalog struct {
	family           netfilter.Family
	matches, targets map[string]extSpec
	parsed           map[string]*extension
}

func newCatalog(f netfilter.Family) *catalog {
	return &catalog{family: f, matches: matchSpecs(), targets: targetSpecs(), parsed: map[string]*extension{}}
}

// match finds the match of that name; nil if netfilter ships none.
func (c *catalog) match(name string) *extension {
	switch name {
	case "icmpv6", "ipv6-icmp":
		name = "icmp6"
	}
	return c.lookup("m "+name, name, c.matches)
}

// target finds the target of that name; nil if netfilter ships none.
func (c *catalog) target(name string) *extension {
	switch name {
	case "ACCEPT", "DROP", "QUEUE", "RETURN", "":
		name = "standard"
	}
	return c.lookup("t "+name, name, c.targets)
}

func (c *catalog) lookup(key, name string, specs map[string]extSpec) *extension {
	if e, ok := c.parsed[key]; ok {
		return e
	}
	s, ok := specs[name]
	if name == "standard" && key[0] == 't' {
		ok = true
	}
	var e *extension
	if ok && (s.family == 0 || s.family == c.family) {
		e = parseSpec(name, s)
	}
	c.parsed[key] = e
	return e
}
