package nic

import "slices"

// maxDepth is more than links are ever stacked; it ends a cycle.
const maxDepth = 8

// stacked are the kinds whose IFLA_LINK is the link beneath. (A veth's is its
// peer, which is beside it.)
var stacked = map[string]bool{
	"vlan": true, "macvlan": true, "macvtap": true, "ipvlan": true, "ipvtap": true,
	"vxlan": true, "geneve": true, "gre": true, "gretap": true, "ip6gre": true, "ip6gretap": true,
	"ipip": true, "sit": true, "ip6tnl": true, "macsec": true, "xfrm": true, "dsa": true, "rmnet": true,
}

// lowest gives for each link the links at the bottom of what lies beneath it,
// in order of index; none for a link with nothing beneath.
func lowest(infos map[int]Info) map[int][]int {
	beneath := make(map[int][]int)
	for index, info := range infos {
		if _, ok := infos[info.Master]; ok && info.Master != 0 {
			beneath[info.Master] = append(beneath[info.Master], index)
		}
		if _, ok := infos[info.Parent]; ok && stacked[info.Kind] && info.Parent != index {
			beneath[index] = append(beneath[index], info.Parent)
		}
	}
	lower := make(map[int][]int, len(beneath))
	for index := range beneath {
		found := descend(nil, beneath, index, 0)
		slices.Sort(found)
		lower[index] = slices.Compact(found)
	}
	return lower
}

// descend appends the bottom links under index to found.
func descend(found []int, beneath map[int][]int, index, depth int) []int {
	if depth > maxDepth {
		return found
	}
	if depth > 0 && len(beneath[index]) == 0 {
		return append(found, index)
	}
	for _, next := range beneath[index] {
		found = descend(found, beneath, next, depth+1)
	}
	return found
}
