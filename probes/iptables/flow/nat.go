package flow

import (
	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/tri"
)

// runNAT runs the nat table at one hook: for the first packet of a tracked
// flow only. What one back end has translated, the other no longer sees.
func (a *Analysis) runNAT(st stage, set []segment) []segment {
	if !a.hasNAT(st.hook) {
		return set
	}
	st.table = "nat"
	by := &dropCause{stage: st, why: "nat may translate packets of a flow that began untracked", assumed: "nat"}
	if !st.step.first {
		return a.dropClasses(set, by, func(c class) tri.Value {
			if c.states&netfilter.StateNew != 0 {
				return tri.Maybe
			}
			return tri.No
		})
	}
	for _, b := range a.stack {
		c := b.Tables["nat"].Chain(st.hook)
		if c == nil || len(c.Rules) == 0 && c.Policy == "ACCEPT" {
			continue
		}
		mine, others := a.divide(set, func(c class) bool { return c.syn == trackYes && !a.natDone(st, c) })
		w := &tableWalk{an: a, stage: st, nat: true, views: map[classID]*packetView{}, memo: map[memoKey][]memoEntry{}}
		set = a.cells.merge(append(w.run(c, mine), others...))
	}
	return set
}

func (a *Analysis) hasNAT(hook string) bool {
	for _, b := range a.stack {
		if c := b.Tables["nat"].Chain(hook); c != nil && (len(c.Rules) > 0 || c.Policy != "ACCEPT") {
			return true
		}
	}
	return false
}

func (a *Analysis) natDone(st stage, c class) bool {
	if st.hook == "INPUT" {
		return c.hidden
	}
	return c.cur != c.target
}

// replyMeetsNAT: a reply that conntrack takes for a new flow goes through the
// nat table of the sending side.
func (a *Analysis) replyMeetsNAT(c class) tri.Value {
	if c.states&netfilter.StateNew == 0 || !a.hasRules("nat", "OUTPUT") && !a.hasRules("nat", "POSTROUTING") {
		return tri.No
	}
	return tri.Maybe
}

func (a *Analysis) hasRules(table, chain string) bool {
	for _, b := range a.stack {
		if c := b.Tables[table].Chain(chain); c != nil && len(c.Rules) > 0 {
			return true
		}
	}
	return false
}

// untranslated drops later packets of a translated flow that conntrack does
// not know for its own: they keep their addresses, and the other end refuses
// them.
func (a *Analysis) untranslated(st stage, set []segment) []segment {
	if st.step.first || st.step.neighbourDiscovery() || st.step.states != 0 {
		return set
	}
	return a.dropWhere(set, st, "conntrack state", "the flow is translated, but this packet is not tracked and so is not", func(c class) tri.Value {
		switch {
		case c.cur == c.target && !c.hidden || c.states == netfilter.StateEstablished:
			return tri.No
		case c.states&netfilter.StateEstablished != 0:
			return tri.Maybe
		}
		return tri.Yes
	})
}
