package preboot

import (
	"fmt"
	"slices"
	"strings"

	"lifeline/probes/iptables"
)

// fixTranslation proposes an accept in front of the rule that translates management to
// where nobody listens, or to another machine: the connection then keeps its port. A
// translation to a port that is listened on is meant, and what drops behind it is another
// matter.
func fixTranslation(q iptables.Question, in iptables.Inputs, r iptables.Result) (Fix, bool) {
	end := r.Trace[len(r.Trace)-1]
	translated := func(s iptables.TraceStep) bool {
		return s.Table == "nat" && s.Hook == "PREROUTING" && strings.HasPrefix(s.Did, "translate")
	}
	if r.Counterexample.Proto != "tcp" || !slices.ContainsFunc(r.Trace, translated) || end.Table != "" && listensOn(q, *r.Counterexample) {
		return Fix{}, false
	}
	for _, s := range r.Trace {
		if s.Table != "nat" || s.Hook != "PREROUTING" || s.Chain != "PREROUTING" || s.Line == 0 || !strings.HasPrefix(s.Rule, "-A") {
			continue
		}
		if holds(in.Rules, s.File) || holds(in.Other, s.File) {
			return newFix(s.File, s.Line, fmt.Sprintf("-A PREROUTING -i %s -s %s -p tcp %s -j ACCEPT", q.Iface, networkOf(q.Mgmt, r.Counterexample.Src), portsMatch(q.Ports))), true
		}
	}
	return Fix{}, false
}

// listensOn tells whether somebody is known to listen where a packet goes.
func listensOn(q iptables.Question, p iptables.Packet) bool {
	if q.Host.Listen == nil {
		return slices.Contains(q.Ports, p.DPort)
	}
	return slices.ContainsFunc(q.Host.Listen, func(l iptables.Listener) bool { return l.Port() == p.DPort })
}

// maxMultiport is how many ports one rule may name (xt_multiport).
const maxMultiport = 15

// portsMatch is the match of a rule for destination ports.
func portsMatch(ports []uint16) string {
	if len(ports) == 1 {
		return fmt.Sprintf("-m tcp --dport %d", ports[0])
	}
	var words []string
	for _, p := range ports[:min(len(ports), maxMultiport)] {
		words = append(words, fmt.Sprint(p))
	}
	return "-m multiport --dports " + strings.Join(words, ",")
}
