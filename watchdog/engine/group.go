package engine

import (
	"cmp"
	"slices"

	"lifeline/watchdog"
)

// group is the transfers that share one direction of one physical link.
type group struct {
	key       watchdog.ShaperKey // the physical link
	link      *watchdog.Link     // zero when it is not known
	shapeOn   watchdog.ShaperKey // the link of the sockets' route
	shaperOK  bool               // a shaper can be had or stands there
	oneRoute  bool               // all of them leave by shapeOn
	settings  LinkSettings
	transfers []*watchdog.Transfer
}

// newGroup is an empty group. Its settings are the operator's for the physical link,
// else for the one that is seen in routes.
func (e *Engine) newGroup(key, shapeOn watchdog.ShaperKey, links watchdog.LinkIndex) group {
	link, upper := links.At(key.Link), links.At(shapeOn.Link)
	return group{
		key: key, link: link, shapeOn: shapeOn, oneRoute: true,
		shaperOK: upper.ShaperOK[key.Direction], settings: e.settings.Link(link.Name, upper.Name),
	}
}

// groups sorts the transfers that may be touched, or whose link is known at
// least, by physical link and direction. A controller that has no transfers left
// has a group too, so that it lets go.
func (e *Engine) groups(in input) []group {
	var out []group
	of := func(k, shapeOn watchdog.ShaperKey) *group {
		for i := range out {
			if out[i].key == k {
				return &out[i]
			}
		}
		out = append(out, e.newGroup(k, shapeOn, in.links))
		return &out[len(out)-1]
	}
	for i := range in.Transfers {
		t := &in.Transfers[i]
		if t.Foreign && !e.settings.ForeignNetns || t.Link == 0 && t.Control == watchdog.ControlNone {
			continue
		}
		shapeOn := watchdog.ShaperKey{Link: t.Link, Direction: t.Direction}
		g := of(watchdog.ShaperKey{Link: in.links.Physical(t.Link), Direction: t.Direction}, shapeOn)
		if g.transfers == nil {
			g.transfers = make([]*watchdog.Transfer, 0, len(in.Transfers))
		}
		g.oneRoute = g.oneRoute && t.Link == g.shapeOn.Link && !t.Foreign
		g.transfers = append(g.transfers, t)
	}
	for k := range e.controllers {
		of(k, k)
	}
	slices.SortFunc(out, func(a, b group) int {
		return cmp.Or(cmp.Compare(a.key.Link, b.key.Link), cmp.Compare(a.key.Direction, b.key.Direction))
	})
	return out
}

// learntKey names what is learnt of the group's link.
func (g *group) learntKey() watchdog.LearntKey {
	return watchdog.LearntKey{Link: g.link.Name, Direction: g.key.Direction}
}

// mode is how the operator wants the group's direction to be enforced.
func (g *group) mode() Mode { return g.settings.Mode[g.key.Direction] }

// limitable tells whether a transfer may be limited.
func limitable(t *watchdog.Transfer) bool {
	return t.Control == watchdog.ControlFull || t.Control == watchdog.ControlLimitOnly
}

// windowFloor is the smallest receive window, in bytes, that keeps a
// connection moving: two segments, and one unit of the announced window scale
// below which the kernel would round it to nothing.
func windowFloor(t watchdog.TCP) int64 {
	return max(2*int64(segment(t)), int64(1)<<min(t.RcvWscale, 14))
}

// segment is the size of a connection's segments, in bytes; that of Ethernet with
// IPv4 where it is not known.
func segment(t watchdog.TCP) int {
	if t.MSS <= 0 {
		return 1460
	}
	return t.MSS
}
