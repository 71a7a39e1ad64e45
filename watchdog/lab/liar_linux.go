package lab

import (
	"context"
	"sync/atomic"
	"time"
)

// liarEvery is over how long a liar measures what passes.
const liarEvery = 100 * time.Millisecond

// Lie has a host answer echo requests (IPv4) late by delay while more than above
// bits/s pass srv's eth0 in either direction, and at once otherwise, until the lab ends.
func (l *Lab) Lie(h *Host, above float64, delay time.Duration) error {
	if err := h.Sysctl("net.ipv4.icmp_echo_ignore_all", "1"); err != nil {
		return err
	}
	var busy atomic.Bool
	l.spawn(func(ctx context.Context) { l.watchBusy(ctx, above, &busy) })
	return l.respond(h, "ip4:icmp", "0.0.0.0", lateResponder{request: echoRequest4, reply: echoReply4, delay: func() time.Duration {
		if busy.Load() {
			return delay
		}
		return 0
	}})
}

// watchBusy tells whether more than above bits/s pass.
func (l *Lab) watchBusy(ctx context.Context, above float64, busy *atomic.Bool) {
	tick := time.NewTicker(liarEvery)
	defer tick.Stop()
	var last uint64
	at := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		link, err := l.Srv.link("eth0")
		if err != nil || link.Attrs().Statistics == nil {
			continue // as it was
		}
		now, bytes := time.Now(), link.Attrs().Statistics.RxBytes+link.Attrs().Statistics.TxBytes
		busy.Store(last > 0 && float64(bytes-last)*8 > above*now.Sub(at).Seconds())
		last, at = bytes, now
	}
}
