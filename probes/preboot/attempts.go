package preboot

import (
	"net/netip"
	"slices"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/hostinfo"
	"lifeline/probes/preboot/sandbox"
)

// attempt is a connection to rehearse and what the analysis says of it; empty
// where it says nothing.
type attempt struct {
	sandbox.Connection
	expect iptables.Verdict
}

// Ways that a source can take, as the report names them.
const (
	viaGateway = "gateway"
	viaLink    = "link"
	viaNarrow  = "narrow"
)

const (
	// maxSamples bounds the connections from inside the management networks,
	// maxCorners those from the corners of the analysed boxes.
	maxSamples = 120
	maxCorners = 120
)

// attempts are the connections that a rehearsal of a question tries: from the
// ends and the middle of every management network, and from the corners of
// the boxes of the analysis, which is nil where it did not run.
func attempts(q question, analysed *iptables.Result) []attempt {
	var out []attempt
	seen := map[sandbox.Connection]bool{}
	add := func(src netip.Addr, sport uint16, dst netip.Addr, dport uint16, expect iptables.Verdict) {
		c := sandbox.Connection{Link: q.Iface, Src: src, SPort: sport, Dst: dst, DPort: dport}
		if !hostinfo.UsableSource(q.Host, src) || !hostinfo.InFamily(src, q.Family) || seen[c] {
			return
		}
		seen[c] = true
		if w, ok := hostinfo.WayTo(q.Host, src, q.Iface); ok && w.Neighbour {
			c.Neighbour = w.Link
		}
		out = append(out, attempt{c, expect})
	}
	for i, src := range samples(q) {
		add(src, 0, q.Dst[i%len(q.Dst)], q.Ports[i/len(q.Dst)%len(q.Ports)], expected(analysed))
	}
	if analysed != nil {
		corners := analysed.Probes
		step := max(1, (len(corners)+maxCorners-1)/maxCorners)
		for i := 0; i < len(corners); i += step {
			p := corners[i]
			add(p.Src, p.SPort, p.Dst, p.DPort, p.Expect)
		}
	}
	return out
}

// expected is what the analysis says of every single connection.
func expected(r *iptables.Result) iptables.Verdict {
	switch {
	case r == nil:
		return ""
	case r.Verdict == iptables.Allowed, r.Verdict == iptables.Blocked && r.Scope == iptables.ScopeAll:
		return r.Verdict
	}
	return ""
}

// samples are addresses of the management networks: first, last and middle of
// each while there is room, so often that every destination and port has its
// turn.
func samples(q question) []netip.Addr {
	var out []netip.Addr
	mgmt := q.Mgmt
	if n := len(mgmt); n > maxSamples {
		var some []netip.Prefix
		for i := range maxSamples {
			some = append(some, mgmt[i*n/maxSamples])
		}
		mgmt = some
	}
	each := min(3, max(1, maxSamples/max(1, len(mgmt))))
	for _, p := range mgmt {
		out = append(out, inside(q.Host, p)[:min(each, len(inside(q.Host, p)))]...)
	}
	for want := min(len(q.Dst)*len(q.Ports), maxSamples); len(out) > 0 && len(out) < want; {
		out = append(out, out[:min(len(out), want-len(out))]...)
	}
	return out
}

// inside are up to three usable addresses of a network: the first, the last
// and the middle one.
func inside(h iptables.Host, p netip.Prefix) []netip.Addr {
	var out []netip.Addr
	add := func(a netip.Addr, step func(netip.Addr) netip.Addr) {
		for range 4 {
			if !a.IsValid() || !p.Contains(a) {
				return
			}
			if hostinfo.UsableSource(h, a) && !slices.Contains(out, a) {
				out = append(out, a)
				return
			}
			a = step(a)
		}
	}
	first := p.Masked().Addr()
	if first.IsUnspecified() {
		// 0.0.0.0/8 is nobody's, and ::/96 holds no hosts.
		if first = netip.MustParseAddr("2000::1"); p.Addr().Is4() {
			first = netip.MustParseAddr("1.0.0.1")
		}
	}
	add(first, netip.Addr.Next)
	add(last(p), netip.Addr.Prev)
	if p.Bits() < p.Addr().BitLen() {
		_, high := hostinfo.Halves(p)
		add(high.Addr(), netip.Addr.Next)
	}
	return out
}

// last is the highest address of a network that a host may have.
func last(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	switch {
	case a.Is4() && !hostinfo.UsableAnywhere(a):
		a = netip.MustParseAddr("223.255.255.254")
	case a.Is6() && !hostinfo.UsableAnywhere(a):
		a = netip.MustParseAddr("3fff:ffff:ffff:ffff:ffff:ffff:ffff:fffe")
	}
	return a
}

// narrowAttempt picks a source for the way over the narrow hop: one behind
// the gateway that got in.
func narrowAttempt(list []attempt, outcomes []sandbox.Outcome) (attempt, bool) {
	for n, a := range list {
		if a.Neighbour == "" && a.SPort == 0 && outcomes[n] == sandbox.Established {
			a.Narrow = true
			return a, true
		}
	}
	return attempt{}, false
}
