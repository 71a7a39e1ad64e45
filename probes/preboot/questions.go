package preboot

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/hostinfo"
)

// question is one question and how it came about.
type question struct {
	iptables.Question
	how []string
}

// bareQuestions are questions as the analysis takes them.
func bareQuestions(qs []question) (out []iptables.Question) {
	for _, q := range qs {
		out = append(out, q.Question)
	}
	return out
}

// given is everything that a question may be made of.
type given struct {
	options Options
	// here says that the question is about this machine.
	here      bool
	host      iptables.Host
	transient map[netip.Addr]bool
	// seen are the ssh sessions of now and before, and howSeen says so.
	seen    []hostinfo.Sighting
	howSeen string
	ports   []uint16
	howPort string
	// configured are the ports of them that a fix may propose.
	configured []uint16
	// listens is where sshd listens; empty where that is not the question.
	listens []netip.AddrPort
	backend iptables.Backend
	howBack string
}

// resolved is what became of everything given.
type resolved struct {
	questions []question
	// leftOut names remembered sources that could not become a question.
	leftOut []string
	// open are sources that somebody asked about, and that could not: the
	// answer to the others is not the answer.
	open []iptables.Assumption
}

// leave notes a source that no question can be made of.
func (r *resolved) leave(given bool, format string, args ...any) {
	why := fmt.Sprintf(format, args...)
	if given {
		r.open = append(r.open, iptables.Assumption{Name: "not-asked", Why: why})
		return
	}
	r.leftOut = append(r.leftOut, why)
}

// resolve makes the questions, one per family and link.
func (g given) resolve() (r resolved, err error) {
	sources, howSources := g.sources()
	given := len(g.options.Mgmt) > 0
	families := g.options.Families
	if len(families) == 0 {
		families = []iptables.Family{iptables.IPv4, iptables.IPv6}
	}
	for _, f := range families {
		byLink, unrouted := g.byLink(f, sources)
		asked := len(g.options.Families) > 0
		for _, p := range unrouted {
			r.leave(given, "management source %s: the machine has no route to it", p)
		}
		if len(byLink) == 0 && len(unrouted) == 0 && asked && given {
			return r, usagef("IPv%d is asked about, and no management source is IPv%d", f, f)
		}
		for _, l := range byLink {
			dst, how := g.destinations(f, l.name)
			if len(dst) == 0 {
				if asked || !g.here {
					return r, usagef("IPv%d sources are asked about, and there is no IPv%d address to connect to: name one as destination", f, f)
				}
				r.leave(given, "IPv%d sources %s: %s has no lasting IPv%d address that sshd listens on", f, join(l.sources), l.name, f)
				continue
			}
			r.questions = append(r.questions, question{
				Question: iptables.Question{Family: f, Backend: g.backend, Iface: l.name, Dst: dst, Ports: g.ports, Mgmt: l.sources, Host: g.host},
				how:      []string{"sources: " + howSources, "link: " + g.howLink(), "addresses: " + how, "ports: " + g.howPort, "back end: " + g.howBack},
			})
		}
	}
	return r, nil
}

// sources are the management sources and where they come from.
func (g given) sources() ([]netip.Prefix, string) {
	if len(g.options.Mgmt) > 0 {
		return g.options.Mgmt, "as given"
	}
	var out []netip.Prefix
	for _, s := range g.seen {
		if p := netip.PrefixFrom(s.Src, s.Src.BitLen()); !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out, g.howSeen
}

type linkSources struct {
	name    string
	sources []netip.Prefix
}

// byLink sorts the sources of a family by the link that they arrive on.
func (g given) byLink(f iptables.Family, sources []netip.Prefix) (out []linkSources, unrouted []netip.Prefix) {
	for _, p := range sources {
		if !hostinfo.InFamily(p.Addr(), f) {
			continue
		}
		parts := []hostinfo.Part{{Net: p, Link: g.options.Iface}}
		if g.options.Iface == "" {
			parts = hostinfo.SplitByLink(g.host, p)
		}
		for _, q := range parts {
			if q.Link == "" {
				unrouted = append(unrouted, q.Net)
				continue
			}
			i := slices.IndexFunc(out, func(l linkSources) bool { return l.name == q.Link })
			if i < 0 {
				i = len(out)
				out = append(out, linkSources{name: q.Link})
			}
			out[i].sources = append(out[i].sources, q.Net)
		}
	}
	return out, unrouted
}

func (g given) howLink() string {
	if g.options.Iface != "" {
		return "as given"
	}
	return "the route to the sources"
}

// destinations are the local addresses that clients connect to: as given, or
// those that sessions were seen on and those of the link itself.
func (g given) destinations(f iptables.Family, link string) ([]netip.Addr, string) {
	var out []netip.Addr
	add := func(a netip.Addr) {
		if hostinfo.InFamily(a, f) && !slices.Contains(out, a) {
			out = append(out, a)
		}
	}
	for _, a := range g.options.Dst {
		add(a)
	}
	if len(g.options.Dst) > 0 {
		return out, "as given"
	}
	for _, s := range g.seen {
		if !g.transient[s.Local] && hostinfo.IsLocal(g.host, s.Local) {
			add(s.Local)
		}
	}
	for _, l := range g.host.Links {
		for _, p := range l.Addresses {
			if l.Name == link && !g.transient[p.Addr()] && !p.Addr().IsLinkLocalUnicast() && g.listensOn(p.Addr()) {
				add(p.Addr())
			}
		}
	}
	return out, "those of the link that sshd listens on, and of ssh sessions"
}

// listensOn reports whether sshd listens on an address, as far as is known.
func (g given) listensOn(a netip.Addr) bool {
	return len(g.listens) == 0 || slices.ContainsFunc(g.listens, func(l netip.AddrPort) bool {
		return l.Addr() == a || l.Addr().IsUnspecified() && l.Addr().Is4() == a.Is4()
	})
}

// complete adds to a description what the question takes for granted: that
// the link exists and that the destinations are local.
func complete(h iptables.Host, iface string, dst []netip.Addr) iptables.Host {
	links := slices.Clone(h.Links)
	i := slices.IndexFunc(links, func(l iptables.Link) bool { return l.Name == iface })
	if i < 0 && iface != "" {
		i = len(links)
		links = append(links, iptables.Link{Name: iface})
	}
	for _, a := range dst {
		if i >= 0 && !hostinfo.IsLocal(h, a) {
			own := slices.Clone(links[i].Addresses)
			links[i].Addresses = append(own, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	h.Links = links
	return h
}

// missing names what a question about another machine lacks.
func (o Options) missing() error {
	var lacks []string
	if o.Iface == "" {
		lacks = append(lacks, "the link")
	}
	if len(o.Mgmt) == 0 {
		lacks = append(lacks, "the management sources")
	}
	if len(lacks) > 0 {
		return usagef("a question about another machine must name %s", strings.Join(lacks, ", "))
	}
	return nil
}

func join[T fmt.Stringer](list []T) string {
	var s []string
	for _, v := range list {
		s = append(s, v.String())
	}
	return strings.Join(s, ", ")
}

func netipPort(a netip.Addr, port uint16) string {
	if port == 0 {
		return a.String()
	}
	return netip.AddrPortFrom(a, port).String()
}
