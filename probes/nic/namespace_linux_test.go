package nic

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// namespace moves the test into a network namespace of its own, which ends
// with the test's thread.
func namespace(t testing.TB) netns.NsHandle {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
	ns, err := netns.New()
	if err != nil {
		t.Skipf("no network namespace to be had: %v", err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pair makes a veth pair a-b, both up.
func pair(t testing.TB, a, b string) (netlink.Link, netlink.Link) {
	t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = a
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: b}))
	return raised(t, a), raised(t, b)
}

func raised(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	must(t, netlink.LinkSetUp(l))
	return l
}

func opened(t testing.TB) *Probe {
	t.Helper()
	p, err := New(slog.New(slog.NewTextHandler(os.Stderr, nil)))
	must(t, err)
	t.Cleanup(func() { p.Close() })
	return p
}

// running runs p in ns until the test ends and waits until events come.
func running(t *testing.T, p *Probe, ns netns.NsHandle) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			done <- err
			return
		}
		done <- p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-p.Wake():
	case <-time.After(10 * time.Second):
		t.Fatal("no subscription after 10 s")
	}
}

// find returns the link called name.
func find(links []watchdog.Link, name string) (watchdog.Link, bool) {
	for _, l := range links {
		if l.Name == name {
			return l, true
		}
	}
	return watchdog.Link{}, false
}

// clock counts from the start of a test.
func clock() func() time.Duration {
	start := time.Now()
	return func() time.Duration { return time.Since(start) }
}

// eventually samples at every wake-up until ok accepts the links.
func eventually(t *testing.T, p *Probe, now func() time.Duration, what string, ok func([]watchdog.Link) bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		links, errs := p.Sample(now())
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if ok(links) {
			return
		}
		select {
		case <-p.Wake():
		case <-deadline:
			t.Fatalf("not within 10 s of events: %s; links: %+v", what, links)
		}
	}
}

// sampling samples at the pace of the daemon until something shows that makes no event.
func sampling(t *testing.T, p *Probe, now func() time.Duration, what string, ok func([]watchdog.Link) bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(minInterval) {
		links, errs := p.Sample(now())
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		if ok(links) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s; links: %+v", what, links)
		}
	}
}

func TestKernelCountsBytes(t *testing.T) {
	namespace(t)
	a, _ := pair(t, "a", "b")
	p := opened(t)
	now := clock()
	p.Sample(now())
	addr, err := netlink.ParseAddr("192.0.2.1/24")
	must(t, err)
	must(t, netlink.AddrAdd(a, addr))
	must(t, netlink.NeighSet(&netlink.Neigh{
		LinkIndex: a.Attrs().Index, State: netlink.NUD_PERMANENT,
		IP: net.IPv4(192, 0, 2, 2), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1},
	}))
	conn, err := net.Dial("udp", "192.0.2.2:9")
	must(t, err)
	defer conn.Close()
	sampling(t, p, now, "carrier", func(links []watchdog.Link) bool { // without it, packets are dropped
		l, ok := find(links, "a")
		return ok && l.Carrier
	})
	before, _ := p.Sample(now())
	for range 100 {
		_, err := conn.Write(make([]byte, 958)) // 1000 bytes with its headers
		must(t, err)
	}
	var after []watchdog.Link
	sampling(t, p, now, "rates", func(links []watchdog.Link) bool {
		after = links
		a, okA := find(links, "a")
		b, okB := find(links, "b")
		return okA && okB && a.Rates[watchdog.Tx].Bytes > 0 && b.Rates[watchdog.Rx].Bytes > 0
	})
	old, _ := find(before, "a")
	for name, d := range map[string]watchdog.Direction{"a": watchdog.Tx, "b": watchdog.Rx} {
		l, ok := find(after, name)
		if !ok || !l.Rates[d].Known || l.Rates[d].Bytes <= 0 || l.Rates[d].Packets <= 0 {
			t.Errorf("%s %v: %+v", name, d, l)
		}
	}
	l, _ := find(after, "a")
	if moved := l.Counters[watchdog.Tx].Bytes - old.Counters[watchdog.Tx].Bytes; moved < 100_000 || moved > 110_000 {
		t.Errorf("moved %d bytes, want about 100,000", moved)
	}
	if l.Kind != "veth" || !l.Up || !l.Carrier || l.Speed != 0 || len(l.Lower) != 0 {
		t.Errorf("veth described as %+v", l)
	}
}

func TestKernelTellsLostCarrier(t *testing.T) {
	ns := namespace(t)
	_, b := pair(t, "a", "b")
	p, now := opened(t), clock()
	running(t, p, ns)
	var changes uint64
	eventually(t, p, now, "carrier", func(links []watchdog.Link) bool {
		l, ok := find(links, "a")
		changes = l.CarrierChanges
		return ok && l.Carrier
	})
	must(t, netlink.LinkSetDown(b))
	eventually(t, p, now, "no carrier", func(links []watchdog.Link) bool {
		l, ok := find(links, "a")
		return ok && l.Up && !l.Carrier && l.CarrierChanges > changes
	})
}

func TestKernelRenamedRemovedAndMadeAgain(t *testing.T) {
	ns := namespace(t)
	a, _ := pair(t, "a", "b")
	p, now := opened(t), clock()
	running(t, p, ns)
	sampling(t, p, now, "rates of link a", func(links []watchdog.Link) bool {
		l, ok := find(links, "a")
		return ok && l.Rates[watchdog.Rx].Known
	})

	must(t, netlink.LinkSetName(a, "lan0"))
	eventually(t, p, now, "renamed", func(links []watchdog.Link) bool {
		l, ok := find(links, "lan0")
		return ok && !l.Rates[watchdog.Rx].Known
	})
	must(t, netlink.LinkDel(a))
	eventually(t, p, now, "removed", func(links []watchdog.Link) bool { return len(links) == 0 })

	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index = "lan0", a.Attrs().Index
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "b"}))
	eventually(t, p, now, "made again", func(links []watchdog.Link) bool {
		l, ok := find(links, "lan0")
		return ok && l.Index == a.Attrs().Index && !l.Rates[watchdog.Rx].Known
	})
	sampling(t, p, now, "rates of the new link", func(links []watchdog.Link) bool {
		l, ok := find(links, "lan0")
		return ok && l.Rates[watchdog.Rx].Known
	})
}

func TestKernelKnowsWhatLiesBeneath(t *testing.T) {
	namespace(t)
	a, _ := pair(t, "a", "b")
	c, _ := pair(t, "c", "d")
	bridge := netlink.NewLinkAttrs()
	bridge.Name = "br0"
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: bridge}))
	br := raised(t, "br0")
	must(t, netlink.LinkSetMaster(a, br))
	tunnel := netlink.NewLinkAttrs()
	tunnel.Name = "vx7"
	err := netlink.LinkAdd(&netlink.Vxlan{LinkAttrs: tunnel, VxlanId: 7, Port: 4789, VtepDevIndex: c.Attrs().Index})
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("this kernel has no vxlan")
	}
	must(t, err)

	links, errs := opened(t).Sample(0)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	want := map[string]string{"br0": fmt.Sprint([]int{a.Attrs().Index}), "vx7": fmt.Sprint([]int{c.Attrs().Index}), "a": "[]", "b": "[]", "c": "[]", "d": "[]"}
	for _, l := range links {
		if got := fmt.Sprint(l.Lower); got != want[l.Name] {
			t.Errorf("%s lies on %s, want %s", l.Name, got, want[l.Name])
		}
	}
	if len(links) != len(want) {
		t.Errorf("%d links, want %d", len(links), len(want))
	}
}

func TestKernelKeepsLinkThatLeavesBridge(t *testing.T) {
	ns := namespace(t)
	a, _ := pair(t, "a", "b")
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	must(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	must(t, netlink.LinkSetMaster(a, raised(t, "br0")))
	p, now := opened(t), clock()
	running(t, p, ns)
	onBridge := func(links []watchdog.Link) bool { l, _ := find(links, "br0"); return len(l.Lower) == 1 }
	eventually(t, p, now, "port on bridge", onBridge)
	must(t, netlink.LinkSetNoMaster(a))
	eventually(t, p, now, "port off bridge", func(links []watchdog.Link) bool {
		_, ok := find(links, "a")
		return ok && !onBridge(links)
	})
}

func TestKernelSamplesManyLinks(t *testing.T) {
	namespace(t)
	for i := range 150 { // more than one datagram of the dump
		pair(t, fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i))
	}
	links, errs := opened(t).Sample(0)
	if len(links) != 300 || len(errs) > 0 {
		t.Errorf("%d links, errors %v", len(links), errs)
	}
}

func BenchmarkSample(b *testing.B) {
	for _, n := range []int{3, 101} {
		b.Run(fmt.Sprintf("links=%d", n), func(b *testing.B) { benchmarkSample(b, n, (*Probe).Sample) })
	}
}

// BenchmarkCounters is the dump alone, which allocates nothing.
func BenchmarkCounters(b *testing.B) {
	for _, n := range []int{3, 101} {
		b.Run(fmt.Sprintf("links=%d", n), func(b *testing.B) {
			benchmarkSample(b, n, func(p *Probe, _ time.Duration) ([]watchdog.Link, []watchdog.ProbeError) {
				var err error
				if p.readings, err = p.kernel.Counters(p.readings[:0]); err != nil {
					b.Fatal(err)
				}
				return nil, nil
			})
		})
	}
}

func benchmarkSample(b *testing.B, n int, sample func(*Probe, time.Duration) ([]watchdog.Link, []watchdog.ProbeError)) {
	namespace(b)
	for i := range n / 2 { // and the loopback
		pair(b, fmt.Sprintf("a%d", i), fmt.Sprintf("b%d", i))
	}
	p := opened(b)
	p.setLive(true)
	now := time.Duration(0)
	p.Sample(now)
	b.ReportAllocs()
	for b.Loop() {
		now += time.Microsecond // the whole run is within one listing period
		if _, errs := sample(p, now); len(errs) > 0 {
			b.Fatal(errs)
		}
	}
}
