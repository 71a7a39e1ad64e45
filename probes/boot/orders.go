package boot

import (
	"slices"

	"lifeline/probes/boot/firewall"
)

// maxOrders bounds the orders of loads that are told apart.
const maxOrders = 24

// Orders are the orders in which the boot may load what concerns one family, each once,
// as far as an order counts: what writes to the same tables. All is false where there are
// more than are told.
func (b *Boot) Orders(lang firewall.Language) (orders [][]firewall.Load, all bool) {
	var loads []firewall.Load
	for _, l := range b.Plan.Loads {
		if l.Language == lang || l.Language == firewall.NFTables || l.Language == firewall.IPSets {
			loads = append(loads, l)
		}
	}
	o := orderer{plan: b.Plan}
	o.extend(nil, loads)
	return o.found, !o.more
}

// orderer finds the linear extensions of a partial order.
type orderer struct {
	plan  *firewall.Plan
	found [][]firewall.Load
	more  bool
}

func (o *orderer) extend(done, rest []firewall.Load) {
	if len(rest) == 0 {
		o.found = append(o.found, slices.Clone(done))
		return
	}
	tried := false
	for i, l := range rest {
		if slices.ContainsFunc(rest, func(x firewall.Load) bool { return o.plan.Ordered(x, l) && !o.plan.Ordered(l, x) }) {
			continue // something must come before
		}
		if tried && !slices.ContainsFunc(rest, func(x firewall.Load) bool { return interact(x, l) && !o.plan.Ordered(x, l) && !o.plan.Ordered(l, x) }) {
			continue // an order that makes no difference
		}
		if len(o.found) >= maxOrders {
			o.more = true
			return
		}
		tried = true
		o.extend(append(slices.Clone(done), l), slices.Delete(slices.Clone(rest), i, i+1))
	}
}

// interact tells whether two loads write to the same tables, so that their order counts:
// nft's flush of all tables reaches those of iptables' nft back end.
func interact(a, b firewall.Load) bool {
	nft := func(l firewall.Load) bool { return l.Language == firewall.NFTables }
	iptables := func(l firewall.Load) bool { return l.Language == firewall.IPTables || l.Language == firewall.IP6Tables }
	switch {
	case nft(a) && nft(b):
		return true
	case nft(a) && iptables(b), iptables(a) && nft(b):
		return a.Backend != firewall.Legacy && b.Backend != firewall.Legacy
	case iptables(a) && iptables(b):
		return a.Language == b.Language && (a.Backend == b.Backend || a.Backend == firewall.Unknown || b.Backend == firewall.Unknown)
	}
	return true // sets, and what uses them
}
