package path

import (
	"net/netip"
	"slices"
	"time"

	"lifeline/watchdog"
)

// Passive is what the transfers' own connections tell of a link's queue in one
// direction. It is weaker than probes: a smoothed RTT is late, and a minimum
// RTT that was learnt in a queue hides that queue.
type Passive struct {
	Queue   time.Duration // least over the peers of the median over a peer's transfers
	Base    time.Duration // the least minimum RTT of the peer that Queue is of
	Retrans float64       // segments/s sent again, all transfers
	Known   bool

	Young      time.Duration // as Queue, also of connections that have just begun
	YoungKnown bool
}

const (
	freshSend = time.Second // an RTT is measured on what we send; older ones tell nothing of now
	leastAge  = time.Second // a connection that has just begun has no minimum worth the name
)

// Listen computes the passive evidence of one link and direction. shaped says
// that a shaper of ours holds that direction: the connections then wait in our
// own class, which tells nothing of the link. before are the transfers of an
// earlier sample, taken the given time ago, for the retransmissions.
func Listen(over Over, d watchdog.Direction, transfers, before []watchdog.Transfer, ago time.Duration, shaped bool) Passive {
	var p Passive
	peers, young := make(map[netip.Addr][]watchdog.TCP), make(map[netip.Addr][]watchdog.TCP)
	for _, t := range transfers {
		if t.Link == 0 || !over(t.Link) || t.Direction != d || !t.TCP.Known || t.Foreign {
			continue
		}
		p.Retrans += retransRate(t, before, ago)
		if shaped || !measured(t) {
			continue
		}
		a := t.Socket.Remote.Addr()
		young[a] = append(young[a], t.TCP)
		if t.Age >= leastAge {
			peers[a] = append(peers[a], t.TCP)
		}
	}
	p.Queue, p.Base, p.Known = leastQueue(peers)
	p.Young, _, p.YoungKnown = leastQueue(young)
	return p
}

// leastQueue is the least that any peer shows.
func leastQueue(peers map[netip.Addr][]watchdog.TCP) (least, base time.Duration, known bool) {
	for _, conns := range peers {
		if queue, b := peerQueue(conns); !known || queue < least {
			least, base, known = queue, b, true
		}
	}
	return least, base, known
}

// measured tells whether a transfer's RTT is of now.
func measured(t watchdog.Transfer) bool {
	return t.TCP.RTT > 0 && t.TCP.MinRTT > 0 && !t.Stopped && t.TCP.LastSend <= freshSend
}

// peerQueue is the median of the RTTs over the least that any connection to
// the same peer has seen.
func peerQueue(conns []watchdog.TCP) (queue, base time.Duration) {
	base = conns[0].MinRTT
	rtts := make([]time.Duration, 0, len(conns))
	for _, c := range conns {
		base = min(base, c.MinRTT)
		rtts = append(rtts, c.RTT)
	}
	return max(0, median(rtts)-base), base
}

// retransRate is how many segments of t per second were sent again since
// before. A counter that fell is of another connection.
func retransRate(t watchdog.Transfer, before []watchdog.Transfer, ago time.Duration) float64 {
	i := slices.IndexFunc(before, func(o watchdog.Transfer) bool { return o.ID == t.ID })
	if i < 0 || ago <= 0 || !before[i].TCP.Known || t.TCP.Retrans < before[i].TCP.Retrans {
		return 0
	}
	return float64(t.TCP.Retrans-before[i].TCP.Retrans) / ago.Seconds()
}
