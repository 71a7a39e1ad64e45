package rsync

import (
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
)

// routes knows over which link a peer is reached.
type routes struct {
	mu    sync.Mutex
	known map[netip.Addr]route
}

// route is an answer of the kernel.
type route struct {
	link  int
	local bool
	until time.Time
}

// routeFor is how long an answer is used.
const routeFor = 5 * time.Second

func newRoutes() *routes { return &routes{known: map[netip.Addr]route{}} }

// link is the index of the link of the route to a peer, 0 when unknown. The
// indexes of another namespace mean nothing here: a foreign transfer belongs
// to the link over which this namespace would reach its peer, if any.
func (r *routes) link(peer netip.Addr, foreign bool) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	answer, ok := r.known[peer]
	if !ok || now.After(answer.until) {
		if len(r.known) > 4096 {
			clear(r.known)
		}
		answer = lookUpRoute(peer)
		answer.until = now.Add(routeFor)
		r.known[peer] = answer
	}
	if foreign && answer.local {
		return 0
	}
	return answer.link
}

// lookUpRoute looks the route up.
func lookUpRoute(peer netip.Addr) route {
	if zone := peer.Zone(); zone != "" {
		index, err := strconv.Atoi(zone)
		if err == nil {
			return route{link: index}
		}
	}
	found, err := netlink.RouteGet(peer.AsSlice())
	if err != nil || len(found) == 0 {
		return route{}
	}
	const local = 2 // RTN_LOCAL
	return route{link: found[0].LinkIndex, local: found[0].Type == local}
}
