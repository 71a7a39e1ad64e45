package preboot

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"lifeline/probes/iptables"
)

// Engine names one of the two engines.
type Engine string

const (
	// Analysis decides for the whole set of packets.
	Analysis Engine = "analysis"
	// Rehearsal sends real connections in a scratch namespace.
	Rehearsal Engine = "rehearsal"
)

// Options are what a caller says about the question and the files. Everything
// left empty is found out from this machine.
type Options struct {
	// Engines to ask; empty means both. The load status comes from the real
	// restore tool in any case.
	Engines []Engine
	// Families to ask about; empty means those of the management sources.
	Families []iptables.Family
	// Backend that loads the rules; empty means that of this machine.
	Backend iptables.Backend
	// Iface is the link that management arrives on.
	Iface string
	// Dst are the addresses that clients connect to.
	Dst []netip.Addr
	// Ports are the TCP ports that clients connect to.
	Ports []uint16
	// Mgmt are the management sources.
	Mgmt []netip.Prefix
	// Rules4 and Rules6 are the rule files, in boot order; both empty means
	// the usual saved files of this machine.
	Rules4, Rules6 []string
	// Root is a root file system whose next boot is asked about: what it starts and loads
	// is found out from its files. Empty means that the files are given, or the usual ones.
	Root string
	// Links describe the machine in question, as far as HostFile does not.
	Links []iptables.Link
	// HostFile is a JSON file that describes the machine in question.
	HostFile string
	// StateDir is where sources of ssh sessions are remembered; empty means
	// nowhere.
	StateDir string
	// Timeout is how long one stage of a rehearsed connection may be silent;
	// 0 means half a second.
	Timeout time.Duration
}

const defaultTimeout = 500 * time.Millisecond

// UsageError says that the question itself is wrong: nothing was checked.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap gives the mistake.
func (e *UsageError) Unwrap() error { return e.Err }

func usagef(format string, args ...any) error {
	return &UsageError{fmt.Errorf(format, args...)}
}

// check finds values that cannot be meant.
func (o Options) check() error {
	for _, e := range o.Engines {
		if e != Analysis && e != Rehearsal {
			return usagef("check %q is neither %q nor %q", e, Analysis, Rehearsal)
		}
	}
	for _, f := range o.Families {
		if f != iptables.IPv4 && f != iptables.IPv6 {
			return usagef("family %d is neither 4 nor 6", f)
		}
	}
	if o.Backend != "" && o.Backend != iptables.NFT && o.Backend != iptables.Legacy {
		return usagef("back end %q is neither %q nor %q", o.Backend, iptables.NFT, iptables.Legacy)
	}
	if o.Iface != "" {
		if err := checkLinkName(o.Iface); err != nil {
			return &UsageError{err}
		}
	}
	for _, p := range o.Ports {
		if p == 0 {
			return usagef("port 0 is not a port that a server listens on")
		}
	}
	for _, a := range o.Dst {
		if !usableDestination(a) {
			return usagef("destination %s is not an address of a machine", a)
		}
	}
	for _, f := range append(slices.Clone(o.Rules4), o.Rules6...) {
		if f == "" {
			return usagef("the name of a rules file is empty")
		}
	}
	return o.checkLinks()
}

// checkLinks finds links that cannot be meant.
func (o Options) checkLinks() error {
	seen := map[string]bool{}
	for _, l := range o.Links {
		if err := checkLinkName(l.Name); err != nil {
			return &UsageError{err}
		}
		if seen[l.Name] {
			return usagef("link %q is given twice: put its addresses behind one name, separated by commas", l.Name)
		}
		seen[l.Name] = true
	}
	if o.Root != "" && len(o.Rules4)+len(o.Rules6) > 0 {
		return usagef("rules files are given twice: by themselves and by what the boot of %s loads", o.Root)
	}
	if len(o.Links) > 0 && o.HostFile != "" {
		return usagef("links are given twice: by the host description %s and by themselves", o.HostFile)
	}
	return nil
}

// once leaves out what is said twice: an answer twice is no better.
func (o Options) once() Options {
	o.Families, o.Dst, o.Ports, o.Mgmt = once(o.Families), once(o.Dst), once(o.Ports), once(o.Mgmt)
	return o
}

func once[T comparable](list []T) []T { return missingFrom(nil, list) }

// missingFrom are the elements of want that have does not hold, each once.
func missingFrom[T comparable](have, want []T) []T {
	var out []T
	for _, p := range want {
		if !slices.Contains(have, p) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

func (o Options) runs(e Engine) bool {
	return len(o.Engines) == 0 || slices.Contains(o.Engines, e)
}

// checkLinkName holds a name to the kernel's own rule (dev_valid_name in
// net/core/dev.c).
func checkLinkName(name string) error {
	switch {
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("link name %q is not one", name)
	case len(name) > 15:
		return fmt.Errorf("link name %q is longer than 15 bytes", name)
	case strings.ContainsAny(name, "/: \t\n\v\f\r"):
		return fmt.Errorf("link name %q has a character that no link name has", name)
	}
	return nil
}

func usableDestination(a netip.Addr) bool {
	return a.IsValid() && a.Zone() == "" && !a.Is4In6() && !a.IsUnspecified() && !a.IsMulticast()
}

// ParseMgmt reads one management source: a prefix or an address.
func ParseMgmt(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		if a.Zone() != "" || a.Is4In6() {
			return netip.Prefix{}, fmt.Errorf("management source %q: a zone and a mapped address are no source", s)
		}
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("management source %q is neither an address nor ADDRESS/LENGTH", s)
	}
	return p.Masked(), nil
}

// ParseLink reads NAME=ADDR/LEN[,ADDR/LEN]...
func ParseLink(s string) (iptables.Link, error) {
	name, list, found := strings.Cut(s, "=")
	if !found {
		return iptables.Link{}, fmt.Errorf("link %q is not NAME=ADDRESS/LENGTH", s)
	}
	l := iptables.Link{Name: name}
	if err := checkLinkName(name); err != nil {
		return l, err
	}
	for _, a := range strings.Split(list, ",") {
		if list == "" {
			break
		}
		p, err := netip.ParsePrefix(a)
		if err != nil {
			return l, fmt.Errorf("link %q: %q is not ADDRESS/LENGTH", name, a)
		}
		l.Addresses = append(l.Addresses, p)
	}
	return l, nil
}

// ParseEngines reads a comma-separated list of engines.
func ParseEngines(s string) ([]Engine, error) {
	var out []Engine
	for _, name := range strings.Split(s, ",") {
		e := Engine(strings.TrimSpace(name))
		if e != Analysis && e != Rehearsal {
			return nil, fmt.Errorf("check %q is neither %q nor %q", name, Analysis, Rehearsal)
		}
		if !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no check is named")
	}
	return out, nil
}
