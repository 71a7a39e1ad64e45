package path

import (
	"net/netip"
	"testing"
	"time"

	"lifeline/watchdog"
)

// sender is a transfer that sends to peer, with an RTT and a minimum.
func sender(id, peer string, rtt, least time.Duration) watchdog.Transfer {
	return watchdog.Transfer{
		ID: watchdog.TransferID(id), Direction: watchdog.Tx, Link: 2, Age: time.Minute,
		Socket: watchdog.Socket{Remote: netip.AddrPortFrom(netip.MustParseAddr(peer), 873)},
		TCP:    watchdog.TCP{Known: true, RTT: rtt, MinRTT: least},
	}
}

func TestListen(t *testing.T) {
	change := func(t watchdog.Transfer, f func(*watchdog.Transfer)) watchdog.Transfer { f(&t); return t }
	late := sender("a", "10.0.0.1", 50*ms, ms)
	for name, c := range map[string]struct {
		transfers []watchdog.Transfer
		shaped    bool
		want      time.Duration // below zero: unknown
	}{
		"no transfers":           {nil, false, -1},
		"one":                    {[]watchdog.Transfer{late}, false, 49 * ms},
		"median of a peer's":     {[]watchdog.Transfer{late, sender("b", "10.0.0.1", 30*ms, ms), sender("c", "10.0.0.1", 90*ms, ms)}, false, 49 * ms},
		"born in the queue":      {[]watchdog.Transfer{late, sender("b", "10.0.0.1", 50*ms, 45*ms)}, false, 49 * ms},
		"another peer is quick":  {[]watchdog.Transfer{late, sender("b", "10.0.0.2", 21*ms, 20*ms)}, false, 1 * ms},
		"in our own class":       {[]watchdog.Transfer{late}, true, -1},
		"other direction":        {[]watchdog.Transfer{change(late, func(t *watchdog.Transfer) { t.Direction = watchdog.Rx })}, false, -1},
		"other link":             {[]watchdog.Transfer{change(late, func(t *watchdog.Transfer) { t.Link = 3 })}, false, -1},
		"other namespace":        {[]watchdog.Transfer{change(late, func(t *watchdog.Transfer) { t.Foreign = true })}, false, -1},
		"not asked":              {[]watchdog.Transfer{change(late, func(t *watchdog.Transfer) { t.TCP.Known = false })}, false, -1},
		"no RTT yet":             {[]watchdog.Transfer{change(late, func(t *watchdog.Transfer) { t.TCP.RTT = 0 })}, false, -1},
		"too young":              {[]watchdog.Transfer{change(late, func(t *watchdog.Transfer) { t.Age = 100 * ms })}, false, -1},
		"stopped":                {[]watchdog.Transfer{change(late, func(t *watchdog.Transfer) { t.Stopped = true })}, false, -1},
		"nothing sent for long":  {[]watchdog.Transfer{change(late, func(t *watchdog.Transfer) { t.TCP.LastSend = time.Minute })}, false, -1},
		"RTT below the minimum":  {[]watchdog.Transfer{sender("a", "10.0.0.1", ms, 2*ms)}, false, 0},
		"IPv6 peers are as good": {[]watchdog.Transfer{sender("a", "2001:db8::1", 12*ms, 2*ms)}, false, 10 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			got := Listen(only(2), watchdog.Tx, c.transfers, nil, 0, c.shaped)
			if got.Known != (c.want >= 0) || got.Known && got.Queue != c.want {
				t.Errorf("got %+v, want %v", got, c.want)
			}
		})
	}
}

func TestListenCountsRetransmissions(t *testing.T) {
	before := []watchdog.Transfer{sender("a", "10.0.0.1", ms, ms), sender("b", "10.0.0.1", ms, ms), sender("c", "10.0.0.1", ms, ms)}
	before[0].TCP.Retrans, before[1].TCP.Retrans, before[2].TCP.Retrans = 5, 100, 9
	now := []watchdog.Transfer{sender("a", "10.0.0.1", ms, ms), sender("b", "10.0.0.1", ms, ms), sender("c", "10.0.0.1", ms, ms), sender("new", "10.0.0.1", ms, ms)}
	now[0].TCP.Retrans, now[1].TCP.Retrans, now[2].TCP.Retrans, now[3].TCP.Retrans = 15, 104, 2, 1000
	if got := Listen(only(2), watchdog.Tx, now, before, 2*time.Second, false).Retrans; got != 7 {
		t.Errorf("got %v segments/s, want 7", got)
	}
	if got := Listen(only(2), watchdog.Tx, now, before, 0, false).Retrans; got != 0 {
		t.Errorf("in no time %v segments/s", got)
	}
}
