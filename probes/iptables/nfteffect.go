package iptables

import (
	"bytes"
	"strings"
)

// effect says whether the file drops all packets of a question, perhaps some,
// or certainly none.
func (n *nftFile) effect(q Question) tri {
	worst := no
	if n.unread != "" {
		worst = maybe
		n.where = TraceStep{File: n.name, Rule: n.unread}
	}
	for _, c := range n.chains {
		if !c.meets(q) {
			continue
		}
		t := n.drops(c, map[*nftChain]bool{})
		if t == yes && (c.family == "bridge" || c.device == "?" || n.unread != "") {
			t = maybe
		}
		if t == yes && worst != yes || t == maybe && worst == no {
			worst = t
			n.where = TraceStep{File: c.file, Line: c.line, Leg: "SYN", Hook: c.hook, Table: c.family + " " + c.table,
				Chain: c.name, Rule: "policy " + c.policy, Did: "drop"}
		}
	}
	return worst
}

// isIPTablesTable reports whether the nft back end of iptables keeps its rules
// in a table of this name (xtables-nft(8)).
func isIPTablesTable(family, table string) bool {
	return isOneOf(family, "ip ip6") && isOneOf(table, "filter nat mangle raw security")
}

// reaches names a chain through which the files change what the rules of
// iptables do: one of a table that both use, without a hook of its own.
func (n *nftFile) reaches(q Question, rules []File) string {
	var named map[string]bool
	for _, c := range n.chains {
		if c.hook != "" || (c.family == "ip") != (q.Family == IPv4) || !isIPTablesTable(c.family, c.table) || len(c.rules) == 0 && c.policy == "" {
			continue
		}
		theirs := isOneOf(c.name, "PREROUTING INPUT FORWARD OUTPUT POSTROUTING") || !c.declared
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

// chainNames are the words of the rules that stand between a colon and a blank, as
// the name of a chain does where it is declared.
func chainNames(rules []File) map[string]bool {
	out := map[string]bool{}
	for _, f := range rules {
		for text := f.Text; ; {
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

// meets reports whether a chain can see packets of the question.
func (c *nftChain) meets(q Question) bool {
	switch c.family {
	case "ip":
		if q.Family != IPv4 {
			return false
		}
	case "ip6":
		if q.Family != IPv6 {
			return false
		}
	case "arp":
		return q.Family == IPv4 && (c.hook == "input" || c.hook == "output")
	case "netdev", "inet", "bridge":
	default:
		return true
	}
	switch c.hook {
	case "ingress", "egress":
		return c.device == q.Iface || c.device == "?" || c.device == ""
	case "prerouting", "input", "output", "postrouting":
		return true
	}
	return false
}

// nftHarmful are the words of statements that may stop or change a packet.
const nftHarmful = "drop reject queue vmap dnat redirect snat masquerade tproxy notrack synproxy fwd dup set map"

// nftSum is what the words of a chain's rules may do.
type nftSum struct {
	first      bool // the first rule drops everything
	harm, pass bool
	jumps      []string
}

// summed sums a chain up, once.
func (c *nftChain) summed() *nftSum {
	if c.sum != nil {
		return c.sum
	}
	c.sum = &nftSum{}
	if len(c.rules) > 0 {
		switch strings.Join(c.rules[0].words, " ") {
		case "drop", "counter drop", "reject", "counter reject":
			c.sum.first = true
		}
	}
	for _, r := range c.rules {
		for i, w := range r.words {
			switch {
			case isOneOf(w, nftHarmful):
				c.sum.harm = true
				c.sum.pass = c.sum.pass || w != "drop" && w != "reject"
			case w == "jump" || w == "goto":
				c.sum.pass = true
				if i+1 < len(r.words) {
					c.sum.jumps = append(c.sum.jumps, r.words[i+1])
				}
			case w == "accept" || w == "return":
				c.sum.pass = true
			}
		}
	}
	return c.sum
}

// drops judges a base chain by its words.
func (n *nftFile) drops(c *nftChain, seen map[*nftChain]bool) tri {
	s := c.summed()
	if s.first && c.hook != "" {
		return yes
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
		return yes
	case harm:
		return maybe
	}
	return no
}

func (n *nftFile) jumpHarms(c *nftChain, name string, seen map[*nftChain]bool) bool {
	d := n.find(c.family, c.table, name)
	if n.work++; d == nil || n.work > maxWork {
		return true
	}
	if seen[d] {
		return false
	}
	seen[d] = true
	return n.drops(d, seen) != no
}
