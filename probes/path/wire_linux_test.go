package path

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
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
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0o644); err != nil {
		t.Skipf("no IPv6, or /proc is read-only: %v", err)
	}
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

func (p nsPinger) Ping(ctx context.Context, target netip.Addr, sent, answered func()) error {
	return within(p.ns, func() error { return p.ICMP.Ping(ctx, target, sent, answered) })
}

// nsEcho opens its sockets in a namespace, and closes them with the test.
type nsEcho struct {
	*EchoSockets
	ns netns.NsHandle
}

func newEcho(t testing.TB, ns netns.NsHandle) nsEcho {
	s := NewEchoSockets()
	t.Cleanup(func() { must(t, s.Close()) })
	return nsEcho{s, ns}
}

func (e nsEcho) Send(target netip.Addr, n uint64) error {
	return within(e.ns, func() error { return e.EchoSockets.Send(target, n) })
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
type tally struct{ sent, answered int }

// ping has p ask target once.
func (c *tally) ping(ctx context.Context, p Pinger, target netip.Addr) error {
	return p.Ping(ctx, target, func() { c.sent++ }, func() { c.answered++ })
}

// living is a probe that runs in the wire's first namespace.
func living(t testing.TB, w *wire) *guided {
	t.Helper()
	start := time.Now()
	return started(t, Config{
		Pinger: nsPinger{NewICMP(), w.here}, Echo: newEcho(t, w.here), Router: nsRoutes{w.here}, Store: &fakeStore{},
		Clock: func() time.Duration { return time.Since(start) }, Wall: time.Now,
		Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
}

// started runs a probe until the test ends.
func started(t testing.TB, c Config) *guided {
	t.Helper()
	p := newGuided(c)
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
func until(t testing.TB, p *guided, target netip.Addr, what string, ok func(watchdog.Path) bool) {
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
