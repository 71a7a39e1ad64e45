package rules

import (
	"strconv"
	"strings"

	"lifeline/probes/iptables/netfilter"
)

// extensionSpec describes one match or target as iptables 1.8 takes it: all that reading
// a rule with it needs to know. The option names are those of iptables-extensions(8).
type extensionSpec struct {
	// family is 0 for both.
	family netfilter.Family
	// options is a list of `name,alias:type(min-max)flags`, with a type of valueTypes.
	// Without a type the option takes no argument. Flags: ! may be negated, + must be
	// given, * may be given again, ~x excludes the other options with the same letter x,
	// &name needs option name too.
	options string
	// need lists options of which at least one must be given; "*" is any.
	need string
	// crossCheck says what is wrong with the options together; nil: nothing can be.
	crossCheck func(*extensionUse) error
	// protocols are those of which the kernel insists on one; nil: any will do.
	protocols func(*extensionUse, netfilter.Family) []uint8
	// place is where the kernel lets it stand.
	place place
	// match adds a match to a rule, target sets what the rule does; nil: not modelled.
	match  func(*ruleParser, *Rule, *extensionUse)
	target func(*ruleParser, *Rule, *extensionUse) error
	// hostWide says that it acts outside of the packets when it is loaded.
	hostWide bool
}

// option is one option of an extension. Aliases share the id and the first
// one's name.
type option struct {
	name     string // as written
	canon    string // the name that the rest of the package uses
	id       int
	value    *valueType // nil: no argument
	negate   bool
	must     bool
	many     bool
	min, max uint64 // max 0: no bound
	group    byte
	with     string
}

// takesArg reports whether getopt hands the option an argument.
func (o *option) takesArg() bool { return o.value != nil && !o.value.optional }

// extension is a match or a target with its options.
type extension struct {
	extensionSpec
	name    string
	options []option
	need    []string
	ids     int
}

// parseSpec turns the written form of the options into the options.
func parseSpec(name string, s extensionSpec) *extension {
	e := &extension{extensionSpec: s, name: name, need: strings.Fields(s.need)}
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
		v := valueTypes[f[1:n]]
		o.value = &v
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
	matches, targets map[string]extensionSpec
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

func (c *catalog) lookup(key, name string, specs map[string]extensionSpec) *extension {
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
