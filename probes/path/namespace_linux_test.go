package path

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"lifeline/watchdog"
)

var (
	here   = netip.MustParseAddr("192.0.2.1")
	there  = netip.MustParseAddr("192.0.2.2")
	there6 = netip.MustParseAddr("2001:db8::2")
	nobody = netip.MustParseAddr("192.0.2.99")
)

// wire is two network namespaces with a veth pair between them. The test's
// thread is in the first; both end with the test.
type wire struct {
	t          testing.TB
	here, peer netns.NsHandle
}

func newWire(t testing.TB) *wire {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
	w := &wire{t: t, peer: newNamespace(t), here: newNamespace(t)}
	w.up()
	return w
}

// up makes the pair and its addresses.
func (w *wire) up() {
	t := w.t
	t.Helper()
	t.Cleanup(func() { w.here.Close(); w.peer.Close() })
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "eth0"
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer0", PeerNamespace: netlink.NsFd(w.peer)}))
	w.address("lo", "127.0.0.1/8")
	w.address("eth0", "192.0.2.1/24", "2001:db8::1/64")
	w.inPeer(func() { w.address("peer0", "192.0.2.2/24", "2001:db8::2/64") })
}

// newNamespace moves the thread into a new one, where addresses hold at once.
func newNamespace(t testing.TB) netns.NsHandle {
	t.Helper()
	ns, err := netns.New()
	if err != nil {
		t.Skipf("no network namespace to be had: %v", err)
	}
	must(t, os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0o644))
	return ns
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// address gives a link addresses and raises it.
func (w *wire) address(name string, addrs ...string) {
	w.t.Helper()
	l, err := netlink.LinkByName(name)
	must(w.t, err)
	for _, a := range addrs {
		addr, err := netlink.ParseAddr(a)
		must(w.t, err)
		addr.Flags = syscall.IFA_F_NODAD
		if err := netlink.AddrAdd(l, addr); err != nil && !errors.Is(err, syscall.EEXIST) {
			w.t.Fatal(err)
		}
	}
	must(w.t, netlink.LinkSetUp(l))
}

// inPeer runs f with the thread in the peer's namespace.
func (w *wire) inPeer(f func()) {
	w.t.Helper()
	must(w.t, netns.Set(w.peer))
	defer func() { must(w.t, netns.Set(w.here)) }()
	f()
}

// deaf makes the peer ignore echo requests, or answer them again.
func (w *wire) deaf(on bool) {
	w.t.Helper()
	value := "0"
	if on {
		value = "1"
	}
	w.inPeer(func() { w.sysctl("icmp_echo_ignore_all", value) })
}

// sysctl writes one of the thread's namespace.
func (w *wire) sysctl(name, value string) {
	w.t.Helper()
	must(w.t, os.WriteFile("/proc/sys/net/ipv4/"+name, []byte(value), 0o644))
}

// within runs f on a thread of the namespace.
func within[T any](ns netns.NsHandle, f func() T) T {
	result := make(chan T, 1)
	go func() {
		runtime.LockOSThread()
		if err := netns.Set(ns); err != nil {
			panic(err)
		}
		result <- f()
	}()
	return <-result
}

// nsPinger opens its sockets in a namespace.
type nsPinger struct {
	*ICMP
	ns netns.NsHandle
}

func (p nsPinger) Ping(ctx context.Context, job Job) error {
	return within(p.ns, func() error { return p.ICMP.Ping(ctx, job) })
}

// nsRoutes asks in a namespace.
type nsRoutes struct{ ns netns.NsHandle }

type result[T any] struct {
	value T
	err   error
}

func (r nsRoutes) Gateways() ([]netip.Addr, error) {
	got := within(r.ns, func() result[[]netip.Addr] { v, err := Routes{}.Gateways(); return result[[]netip.Addr]{v, err} })
	return got.value, got.err
}

func (r nsRoutes) Route(a netip.Addr) (Route, error) {
	got := within(r.ns, func() result[Route] { v, err := Routes{}.Route(a); return result[Route]{v, err} })
	return got.value, got.err
}

func (r nsRoutes) Watch(ctx context.Context, changed func()) error {
	return within(r.ns, func() error { return Routes{}.Watch(ctx, changed) })
}

// tally counts what a pinger reports.
type tally struct {
	mu             sync.Mutex
	sent, answered int
	failed         []error
}

func (c *tally) job(target netip.Addr, every time.Duration, untilAnswer bool) Job {
	count := func(n *int) func(int) {
		return func(int) {
			c.mu.Lock()
			*n++
			c.mu.Unlock()
		}
	}
	return Job{
		Target: target, Interval: every, UntilAnswer: untilAnswer,
		Sent: count(&c.sent), Answered: count(&c.answered),
		Failed: func(err error) {
			c.mu.Lock()
			c.failed = append(c.failed, err)
			c.mu.Unlock()
		},
	}
}

func TestPingByEitherSocket(t *testing.T) {
	for name, groups := range map[string]string{"ping socket": "0 2147483647", "raw socket": "1 0"} {
		t.Run(name, func(t *testing.T) {
			w := newWire(t)
			w.sysctl("ping_group_range", groups)
			p := NewICMP()
			for _, f := range []family{ipv4, ipv6} {
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
				if err := p.Ping(ctx, c.job(target, 200*time.Millisecond, true)); err != nil {
					t.Error(err)
				}
				cancel()
				if c.answered < 1 || c.sent < 1 || len(c.failed) > 0 {
					t.Errorf("%v: sent %d, answered %d, %v", target, c.sent, c.answered, c.failed)
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
	if err := p.Ping(ctx, c.job(there, 200*time.Millisecond, true)); err != nil || c.answered < 1 {
		t.Errorf("answered %d, %v", c.answered, err)
	}
	if !p.raw[ipv4].Load() {
		t.Error("not noted")
	}
}

func TestPingStopsWhenAsked(t *testing.T) {
	w := newWire(t)
	w.deaf(true)
	p := NewICMP()
	ctx, cancel := context.WithCancel(context.Background())
	var c tally
	job := c.job(there, 20*time.Millisecond, false)
	sent := job.Sent
	job.Sent = func(seq int) {
		sent(seq)
		if seq == 5 {
			cancel()
		}
	}
	done := make(chan error, 1)
	go func() { done <- nsPinger{p, w.here}.Ping(ctx, job) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("still running 20 s after it was cancelled")
	}
	if c.sent < 5 || c.answered != 0 {
		t.Errorf("sent %d, answered %d", c.sent, c.answered)
	}
}

func TestPingTellsWhyItCannotSend(t *testing.T) {
	newWire(t)
	var c tally
	err := NewICMP().Ping(context.Background(), c.job(netip.MustParseAddr("203.0.113.1"), time.Second, true))
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
	must(t, NewICMP().Ping(context.Background(), c.job(there, 200*time.Millisecond, true))) // resolves the neighbour
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

// living is a probe that runs in the wire's first namespace.
func living(t testing.TB, w *wire) *Probe {
	t.Helper()
	start := time.Now()
	return started(t, Config{
		Pinger: nsPinger{NewICMP(), w.here}, Router: nsRoutes{w.here}, Store: &fakeStore{},
		Clock: func() time.Duration { return time.Since(start) }, Wall: time.Now,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// started runs a probe until the test ends.
func started(t testing.TB, c Config) *Probe {
	t.Helper()
	p := New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return p
}

// until samples every tick until ok accepts the path to target.
func until(t testing.TB, p *Probe, target netip.Addr, what string, ok func(watchdog.Path) bool) {
	t.Helper()
	var last watchdog.Path
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		paths, _ := p.Sample(p.Clock())
		for _, last = range paths {
			if last.Target == target && ok(last) {
				return
			}
		}
	}
	t.Fatalf("not within 30 s: %s; last %+v", what, last)
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
