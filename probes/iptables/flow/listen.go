package flow

import (
	"fmt"
	"net/netip"
	"slices"

	"lifeline/probes/iptables/tri"
)

// listening drops what opens a connection to a port on which nobody listens: a
// translation may lead there.
func (a *Analysis) listening(st stage, set []segment) []segment {
	if !st.step.first {
		return set
	}
	st.hook, st.table = "socket", ""
	for i := range a.ends {
		served := a.served(a.ends[i])
		if served == tri.Yes {
			continue
		}
		at := netip.AddrPortFrom(a.ends[i].addr.IP(a.q.Family), a.ends[i].port)
		why := fmt.Sprintf("it is not known whether sshd listens on %s, to which management is translated", at)
		if served == tri.No {
			why = fmt.Sprintf("nobody listens on %s", at)
		}
		set = a.dropWhere(set, st, "listen", why, func(c class) tri.Value {
			if int(c.cur) != i {
				return tri.No
			}
			return served.Not()
		})
	}
	return set
}

// served tells whether a program listens at an endpoint of this machine. What is not
// local, and a port that is picked at run time, is judged elsewhere.
func (m *machine) served(e end) tri.Value {
	if e.local != tri.Yes || !e.portKnown {
		return tri.Yes
	}
	if m.q.Listen == nil {
		if slices.Contains(m.q.Ports, e.port) {
			return tri.Yes
		}
		return tri.Maybe
	}
	out := tri.No
	for _, l := range m.q.Listen {
		switch addr := l.Addr(); {
		case l.Port() != e.port:
		case addr.IsUnspecified() && m.q.Family.Of(addr):
			return tri.Yes
		case e.addrKnown && addr == e.addr.IP(m.q.Family):
			return tri.Yes
		case !e.addrKnown && m.q.Family.Of(addr):
			out = tri.Maybe
		}
	}
	return out
}
