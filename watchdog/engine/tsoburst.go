package engine

import (
	"time"

	"lifeline/watchdog"
)

// tsoBursts decides when the kernel's bursts have to be small. Since Linux 5.18 TCP
// hands down more at once the shorter the path is, however slowly the sender is
// paced (tcp_tso_autosize in net/ipv4/tcp_output.c).
type tsoBursts struct {
	small    bool
	neededAt time.Duration // when that was last needed
}

const (
	// maxTSOBurst is what TCP adds to a burst at no distance, in bytes:
	// sk_gso_max_size, at most GSO_LEGACY_MAX_SIZE of linux/netdevice.h.
	maxTSOBurst = 64 << 10
	// minTSOBurst is what it hands down in any case, in bytes: two segments
	// (net.ipv4.tcp_min_tso_segs).
	minTSOBurst = 2 * 1448
	// smallBurstsHold is for how long bursts stay small when they need not be: limits
	// come and go.
	smallBurstsHold = 5 * time.Second
)

// burst is what TCP adds to the bursts of a connection, in bytes: maxTSOBurst,
// halved with every 512 us (2^9, the default of net.ipv4.tcp_tso_rtt_log) of the
// connection's least RTT.
func burst(minRTT time.Duration) int {
	return maxTSOBurst >> min(minRTT.Microseconds()>>9, 31)
}

// burstTooLong tells whether the bursts of t last for longer than target at the rate
// of l, where pacing alone holds it. Senders that share a link at such rates make
// a queue of that length when their bursts meet, and no rate removes it. Other
// network namespaces have settings of their own, which are left alone.
func burstTooLong(t *watchdog.Transfer, l watchdog.Limit, target time.Duration) bool {
	if l.Pacing <= 0 || t.Direction != watchdog.Tx || t.Foreign || t.TCP.MinRTT <= 0 {
		return false
	}
	b := burst(t.TCP.MinRTT)
	return b > minTSOBurst && float64(b)/l.Pacing > target.Seconds()
}

// step decides for the limits of this step.
func (b *tsoBursts) step(s *watchdog.Snapshot, d watchdog.Desired, target time.Duration) bool {
	needed := false
	for i := range s.Transfers {
		t := &s.Transfers[i]
		needed = needed || burstTooLong(t, d.Limits[t.ID], target)
	}
	switch {
	case needed:
		b.small, b.neededAt = true, s.Mono
	case len(d.Limits) == 0 || s.Mono-b.neededAt >= smallBurstsHold:
		b.small = false
	}
	return b.small
}
