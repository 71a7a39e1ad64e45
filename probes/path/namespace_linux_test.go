package path

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"lifeline/watchdog"
)

func TestPingByEitherSocket(t *testing.T) {
	for name, groups := range map[string]string{"ping socket": "0 2147483647", "raw socket": "1 0"} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.sysctl("ping_group_range", groups)
			p := NewICMP()
			for _, f := range []family{v4, v6} {
				if got, want := p.raw[f].Load(), groups == "1 0"; got != want {
					t.Errorf("%v by raw socket: %v, want %v", f, got, want)
				}
			}
			if c := p.Capability(); !c.Available {
				t.Errorf("capability %+v", c)
			}
			targets := []netip.Addr{there, there6, linkLocal(t, w)}
			for _, target := range targets {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				var c tally
				if err := c.ping(ctx, p, target); err != nil {
					t.Error(err)
				}
				cancel()
				if c.answered != 1 || c.sent != 1 {
					t.Errorf("%v: sent %d, answered %d", target, c.sent, c.answered)
				}
			}
		})
	}
}

// linkLocal is the peer's own address, with our link as zone.
func linkLocal(t *testing.T, w *wire) netip.Addr {
	t.Helper()
	var found netip.Addr
	w.inPeer(func() {
		l, err := netlink.LinkByName("peer0")
		must(t, err)
		addrs, err := netlink.AddrList(l, netlink.FAMILY_V6)
		must(t, err)
		for _, a := range addrs {
			if ip, _ := netip.AddrFromSlice(a.IP); ip.IsLinkLocalUnicast() {
				found = ip.WithZone("eth0")
			}
		}
	})
	if !found.IsValid() {
		t.Fatal("the peer has no link-local address")
	}
	return found
}

func TestPingFollowsAChangeOfPermission(t *testing.T) {
	w := newWire(t)
	w.sysctl("ping_group_range", "0 2147483647")
	p := NewICMP()
	w.sysctl("ping_group_range", "1 0")
	var c tally
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := c.ping(ctx, p, there); err != nil || c.answered < 1 {
		t.Errorf("answered %d, %v", c.answered, err)
	}
	if !p.raw[v4].Load() {
		t.Error("not noted")
	}
}

func TestPingStopsWhenAsked(t *testing.T) {
	w := newWire(t)
	w.deaf(true)
	p := NewICMP()
	ctx, cancel := context.WithCancel(context.Background())
	var c tally
	done := make(chan error, 1)
	go func() {
		done <- nsPinger{p, w.here}.Ping(ctx, there, func() { c.sent++; cancel() }, func() { c.answered++ })
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still running 20 s after it was cancelled")
	}
	if c.sent != 1 || c.answered != 0 {
		t.Errorf("sent %d, answered %d", c.sent, c.answered)
	}
}

func TestPingTellsWhyItCannotSend(t *testing.T) {
	newWire(t)
	var c tally
	err := c.ping(context.Background(), NewICMP(), netip.MustParseAddr("203.0.113.1"))
	if !errors.Is(err, syscall.ENETUNREACH) || c.sent != 0 {
		t.Errorf("sent %d, %v", c.sent, err)
	}
}

func TestRoutesOfTheKernel(t *testing.T) {
	w := newWire(t)
	eth0, err := netlink.LinkByName("eth0")
	must(t, err)
	r := Routes{}
	if g, err := r.Gateways(); err != nil || len(g) != 0 {
		t.Errorf("gateways %v, %v before there is a default route", g, err)
	}
	changed := make(chan struct{}, 16)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- nsRoutes{w.here}.Watch(ctx, func() { changed <- struct{}{} }) }()
	far := netip.MustParseAddr("203.0.113.7")
	deadline := time.After(20 * time.Second)
	for told := false; !told; { // the subscription may begin after the first change
		must(t, netlink.RouteReplace(&netlink.Route{Gw: there.AsSlice(), Priority: 10}))
		must(t, netlink.RouteReplace(&netlink.Route{Gw: nobody.AsSlice(), Priority: 20}))
		must(t, netlink.RouteReplace(&netlink.Route{Gw: linkLocal(t, w).AsSlice(), LinkIndex: eth0.Attrs().Index}))
		select {
		case <-changed:
			told = true
		case <-time.After(time.Second):
		case <-deadline:
			t.Fatal("no route event within 20 s")
		}
	}
	g, err := r.Gateways()
	if err != nil || len(g) != 2 || g[0] != there || g[1] != linkLocal(t, w) {
		t.Errorf("gateways %v, %v", g, err)
	}
	var c tally
	must(t, c.ping(context.Background(), NewICMP(), there)) // resolves the neighbour
	got, err := r.Route(far)
	if err != nil || got.Link != eth0.Attrs().Index || got.Way.Link != "eth0" || got.Gateway != there || len(got.MAC) != 17 || got.Local {
		t.Errorf("route to %v: %+v, %v", far, got, err)
	}
	if got, err := r.Route(linkLocal(t, w)); err != nil || got.Link != eth0.Attrs().Index || got.Gateway.IsValid() {
		t.Errorf("route to a neighbour: %+v, %v", got, err)
	}
	if got, err := r.Route(here); err != nil || !got.Local {
		t.Errorf("route to ourselves: %+v, %v", got, err)
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("still watching 20 s after it was cancelled")
	}
}

func TestProbeOnARealPath(t *testing.T) {
	w := newWire(t)
	must(t, netlink.RouteReplace(&netlink.Route{Gw: there.AsSlice()}))
	p := living(t, w)
	p.SetTargets([]netip.Addr{there6, nobody}, nil)
	p.SetMode(Fast)
	until(t, p, there, "gateway answers", func(p watchdog.Path) bool {
		return p.Known && p.RTT > 0 && p.RTT < time.Second && p.Base > 0 && p.Link != 0 && p.Why == watchdog.TargetGateway
	})
	until(t, p, there6, "IPv6 answers and counts", func(p watchdog.Path) bool {
		return p.Known && p.Delay && p.Why == watchdog.TargetConfigured && p.Loss == 0
	})
	w.inPeer(func() { must(t, os.WriteFile("/proc/sys/net/ipv6/icmp/echo_ignore_all", []byte("1"), 0o644)) })
	until(t, p, there6, "IPv6 falls silent", func(p watchdog.Path) bool { return p.Silent > patience && p.Answered && !p.Known })
	paths, _ := p.Sample(p.Clock())
	for _, q := range paths {
		if q.Target == nobody && (q.Answered || q.Known) {
			t.Errorf("nobody answered: %+v", q)
		}
		if q.Target == there && q.Silent > 0 {
			t.Errorf("the gateway fell silent too: %+v", q)
		}
	}
	w.inPeer(func() { must(t, os.WriteFile("/proc/sys/net/ipv6/icmp/echo_ignore_all", []byte("0"), 0o644)) })
	until(t, p, there6, "IPv6 is back", func(p watchdog.Path) bool { return p.Known && p.Silent == 0 })
}

func TestProbeCountsLoss(t *testing.T) {
	w := newWire(t)
	p := living(t, w)
	p.SetTargets([]netip.Addr{there}, nil)
	p.SetMode(Fast)
	until(t, p, there, "answers", func(p watchdog.Path) bool { return p.Known && p.Loss == 0 })
	w.deaf(true)
	for range 10 { // short of silence
		p.Sample(p.Clock())
		time.Sleep(100 * time.Millisecond)
	}
	w.deaf(false)
	until(t, p, there, "loss", func(p watchdog.Path) bool { return p.Known && p.Loss > 0 && p.Loss < 1 })
}

func TestProbeSurvivesALostLink(t *testing.T) {
	w := newWire(t)
	p := living(t, w)
	p.SetTargets([]netip.Addr{there}, nil)
	p.SetMode(Fast)
	until(t, p, there, "answers", func(p watchdog.Path) bool { return p.Known })
	eth0, err := netlink.LinkByName("eth0")
	must(t, err)
	must(t, netlink.LinkSetDown(eth0))
	until(t, p, there, "silence", func(p watchdog.Path) bool { return !p.Known && p.Silent > patience })
	if _, errs := p.Sample(p.Clock()); len(errs) == 0 {
		t.Error("nothing is told of requests that cannot be sent")
	}
	w.address("eth0", "192.0.2.1/24")
	until(t, p, there, "answers again", func(p watchdog.Path) bool { return p.Known && p.Silent == 0 })
}
