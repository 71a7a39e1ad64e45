package nftables

import (
	"bytes"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/tri"
)

// Effect says whether the files drop all packets of a family that use a link, perhaps
// some, or certainly none, and where.
func (n *Ruleset) Effect(f netfilter.Family, iface string) (worst tri.Value, where netfilter.TraceStep) {
	if n.unread != "" {
		worst = tri.Maybe
		where = netfilter.TraceStep{File: n.name, Rule: n.unread}
	}
	s := search{Ruleset: n, work: n.work}
	for _, c := range n.chains {
		if !c.meets(f, iface) {
			continue
		}
		t := s.drops(c, map[*chain]bool{})
		if t == tri.Yes && (c.family == "bridge" || c.device == "?" || n.unread != "") {
			t = tri.Maybe
		}
		if t == tri.Yes && worst != tri.Yes || t == tri.Maybe && worst == tri.No {
			worst = t
			where = netfilter.TraceStep{File: c.file, Line: c.line, Step: "SYN", Hook: c.hook, Table: c.family + " " + c.table,
				Chain: c.name, Rule: "policy " + c.policy, Did: "drop"}
		}
	}
	return worst, where
}

// isIPTablesTable reports whether the nft back end of iptables keeps its rules
// in a table of this name (xtables-nft(8)).
func isIPTablesTable(family, table string) bool {
	return lex.OneOf(family, "ip ip6") && lex.OneOf(table, "filter nat mangle raw security")
}

// reaches names a chain through which the files change what the rules of
// iptables do: one of a table that both use, without a hook of its own.
func (n *Ruleset) reaches(f netfilter.Family, rules [][]byte) string {
	var named map[string]bool
	for _, c := range n.chains {
		if c.hook != "" || (c.family == "ip") != (f == netfilter.IPv4) || !isIPTablesTable(c.family, c.table) || len(c.rules) == 0 && c.policy == "" {
			continue
		}
		theirs := lex.OneOf(c.name, "PREROUTING INPUT FORWARD OUTPUT POSTROUTING") || !c.declared
		if !theirs {
			if named == nil {
				named = chainNames(rules)
			}
			theirs = named[c.name]
		}
		if theirs {
			return c.family + " " + c.table + " " + c.name
		}
	}
	return ""
}

// NoteShared looks whether the files change the chains of iptables' own rules, given as
// texts: what the files do is not understood then.
func (n *Ruleset) NoteShared(f netfilter.Family, rules [][]byte) {
	if chain := n.reaches(f, rules); chain != "" && n.unread == "" {
		n.unread = "chain " + chain
	}
}

// chainNames are the words of the rules that stand between a colon and a blank, as
// the name of a chain does where it is declared.
func chainNames(rules [][]byte) map[string]bool {
	out := map[string]bool{}
	for _, text := range rules {
		for {
			i := bytes.IndexByte(text, ':')
			if i < 0 {
				break
			}
			text = text[i+1:]
			end := bytes.IndexAny(text[:min(len(text), 256)], " \n:")
			if end > 0 && text[end] == ' ' {
				out[string(text[:end])] = true
			}
		}
	}
	return out
}

// meets reports whether a chain can see packets of a family that use a link.
func (c *chain) meets(f netfilter.Family, iface string) bool {
	switch c.family {
	case "ip":
		if f != netfilter.IPv4 {
			return false
		}
	case "ip6":
		if f != netfilter.IPv6 {
			return false
		}
	case "arp":
		return f == netfilter.IPv4 && (c.hook == "input" || c.hook == "output")
	case "netdev", "inet", "bridge":
	default:
		return true
	}
	switch c.hook {
	case "ingress", "egress":
		return c.device == iface || c.device == "?" || c.device == ""
	case "prerouting", "input", "output", "postrouting":
		return true
	}
	return false
}

// harmfulWords are the words of statements that may stop or change a packet.
const harmfulWords = "drop reject queue vmap dnat redirect snat masquerade tproxy notrack synproxy fwd dup set map"

// chainSummary is what the words of a chain's rules may do.
type chainSummary struct {
	first      bool // the first rule drops everything
	harm, pass bool
	jumps      []string
}

// summarise sums a chain up, once.
func (c *chain) summarise() *chainSummary {
	if c.summary != nil {
		return c.summary
	}
	c.summary = &chainSummary{}
	if len(c.rules) > 0 {
		switch strings.Join(c.rules[0].words, " ") {
		case "drop", "counter drop", "reject", "counter reject":
			c.summary.first = true
		}
	}
	for _, r := range c.rules {
		for i, w := range r.words {
			switch {
			case lex.OneOf(w, harmfulWords):
				c.summary.harm = true
				c.summary.pass = c.summary.pass || w != "drop" && w != "reject"
			case w == "jump" || w == "goto":
				c.summary.pass = true
				if i+1 < len(r.words) {
					c.summary.jumps = append(c.summary.jumps, r.words[i+1])
				}
			case w == "accept" || w == "return":
				c.summary.pass = true
			}
		}
	}
	return c.summary
}

// search looks through chains and what they jump to.
type search struct {
	*Ruleset
	work int // chains and jumps gone through
}

// drops says what a base chain drops, by its words.
func (n *search) drops(c *chain, seen map[*chain]bool) tri.Value {
	s := c.summarise()
	if s.first && c.hook != "" {
		return tri.Yes
	}
	harm := c.policy == "drop" || s.harm
	for _, to := range s.jumps {
		if harm {
			break
		}
		harm = n.jumpHarms(c, to, seen)
	}
	switch {
	case c.policy == "drop" && !s.pass:
		return tri.Yes
	case harm:
		return tri.Maybe
	}
	return tri.No
}

func (n *search) jumpHarms(c *chain, name string, seen map[*chain]bool) bool {
	d := n.find(c.family, c.table, name)
	if n.work++; d == nil || n.work > netfilter.MaxFileWork {
		return true
	}
	if seen[d] {
		return false
	}
	seen[d] = true
	return n.drops(d, seen) != tri.No
}
