package preboot

import (
	"fmt"
	"slices"
	"strings"

	"lifeline/probes/iptables"
)

// fixElsewhere proposes what to do where no line in an iptables file would
// help: a native nftables or arptables file drops the packet, or the kernel
// itself does.
func fixElsewhere(q iptables.Question, in iptables.Inputs, r iptables.Result) (Fix, bool) {
	if r.Verdict != iptables.Blocked || r.Counterexample == nil || len(r.Trace) == 0 {
		return Fix{}, false
	}
	end := r.Trace[len(r.Trace)-1]
	if holds(in.NFT, end.File) {
		return nftFix(q, end)
	}
	if in.ARP != nil && in.ARP.Name == end.File {
		return arpFix(q, *in.ARP, end), true
	}
	if end.Table == "" {
		return kernelFix(q, r)
	}
	return Fix{}, false
}

// nftFix is a rule for a native chain. As a command at the end of the file it
// needs no place inside of a table's braces (nft(8)).
func nftFix(q iptables.Question, end iptables.TraceStep) (Fix, bool) {
	ip := "ip"
	if q.Family == iptables.IPv6 {
		ip = "ip6"
	}
	link, peer, port := "iifname", "saddr", "dport"
	switch end.Hook {
	case "prerouting", "input":
	case "output", "postrouting":
		link, peer, port = "oifname", "daddr", "sport"
	default:
		return Fix{}, false
	}
	var ports []string
	for _, p := range q.Ports {
		ports = append(ports, fmt.Sprint(p))
	}
	rule := fmt.Sprintf("insert rule %s %s %s %q %s %s { %s } tcp %s { %s } accept",
		end.Table, end.Chain, link, q.Iface, ip, peer, join(q.Mgmt), port, strings.Join(ports, ", "))
	return Fix{File: end.File, Rule: rule, Text: fmt.Sprintf("put at the end of %s: %s", end.File, rule)}, true
}

// arpFix lets the address resolution of the link through.
func arpFix(q iptables.Question, f iptables.File, end iptables.TraceStep) Fix {
	flag := map[bool]string{true: "-o", false: "-i"}[end.Chain == "OUTPUT"]
	rule := fmt.Sprintf("-A %s %s %s -j ACCEPT", end.Chain, flag, q.Iface)
	line := end.Line
	if !strings.HasPrefix(lineOf(f.Text, line), "-A") {
		line = commitLine(f.Text, end.Table)
	}
	if line == 0 {
		return Fix{File: f.Name, Rule: rule, Text: fmt.Sprintf("put at the end of %s: %s", f.Name, rule)}
	}
	return newFix(f.Name, line, rule)
}

// kernelFix says what would make the kernel itself let the packet pass.
func kernelFix(q iptables.Question, r iptables.Result) (Fix, bool) {
	did := r.Trace[len(r.Trace)-1].Did
	peer := r.Counterexample.Src
	if r.Counterexample.Step == "SYN/ACK" {
		peer = r.Counterexample.Dst
	}
	from := networkOf(q.Mgmt, peer)
	switch {
	case strings.Contains(did, "rp_filter"):
		return Fix{Text: fmt.Sprintf("route %s by %s, or set net.ipv4.conf.all.rp_filter and net.ipv4.conf.%s.rp_filter to 2 (sysctl.d): no rule can help", from, q.Iface, q.Iface)}, true
	case strings.Contains(did, "no route"):
		return Fix{Text: fmt.Sprintf("give the machine a lasting route to %s: no rule can help", from)}, true
	case strings.Contains(did, "not tracked"):
		for _, s := range slices.Backward(r.Trace) {
			if s.Did == "do not track" {
				return Fix{File: s.File, Text: fmt.Sprintf("take the management port out of line %d of %s: %s", s.Line, s.File, s.Rule)}, true
			}
		}
	}
	return Fix{}, false
}
