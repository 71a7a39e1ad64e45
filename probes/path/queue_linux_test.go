package path

import (
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"lifeline/watchdog"
)

// bottleneck makes a link of 10 Mbit/s with a FIFO of 200 kB, 160 ms.
func bottleneck(t *testing.T, name string) {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	err = netlink.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Parent: netlink.HANDLE_ROOT, Handle: netlink.MakeHandle(1, 0)},
		Rate:       10e6 / 8, Limit: 200_000, Buffer: 20_000,
	})
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.EOPNOTSUPP) {
		t.Skipf("this kernel has no tbf: %v", err)
	}
	must(t, err)
}

// flood sends 20 Mbit/s of UDP to the peer until stop is called.
func flood(t *testing.T) (stop func()) {
	t.Helper()
	conn, err := net.Dial("udp", net.JoinHostPort(there.String(), "9"))
	must(t, err)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		pause := time.NewTicker(10 * time.Millisecond)
		defer pause.Stop()
		for {
			for range 25 {
				_, _ = conn.Write(make([]byte, 1000)) // a full queue or a closed port is what it is for
			}
			select {
			case <-quit:
				return
			case <-pause.C:
			}
		}
	}()
	return func() { close(quit); <-done; conn.Close() }
}

func TestProbeSeesARealQueue(t *testing.T) {
	w := newWire(t)
	bottleneck(t, "eth0")
	must(t, netlink.RouteReplace(&netlink.Route{Gw: there.AsSlice()}))
	p := living(t, w)
	p.SetMode(Fast)
	until(t, p, there, "gateway answers", func(p watchdog.Path) bool { return p.Known && p.Base > 0 })
	stop := flood(t)
	until(t, p, there, "gateway shows the queue and counts", func(p watchdog.Path) bool {
		return p.Known && p.Delay && p.Queue() > 50*time.Millisecond && p.Queue() < time.Second
	})
	stop()
	until(t, p, there, "queue has gone", func(p watchdog.Path) bool { return p.Known && p.Delay && p.Queue() < lateBy })
}
