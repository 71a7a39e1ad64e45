package daemon

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
	"lifeline/watchdog/printable/printabletest"
)

func TestNews(t *testing.T) {
	n := &serviceManager{watchdog: 20 * time.Second}
	calm := watchdog.Report{Snapshot: watchdog.Snapshot{Management: control.Reachable}}
	busy := calm
	busy.Decision = watchdog.Decision{
		Links:      []watchdog.LinkState{{Name: "eth0", Phase: control.Engaged, Transfers: 16, Limited: 15, Paused: 1}, {Name: "eth1"}},
		Conditions: []watchdog.Condition{{Name: watchdog.LinkSaturated, Subject: watchdog.DirectionSubject("eth0", watchdog.Rx)}},
	}
	for _, c := range []struct {
		at   int // seconds
		r    watchdog.Report
		want string
	}{
		{100, calm, "READY=1\nWATCHDOG=1\nSTATUS=management reachable"},
		{101, calm, ""},
		{102, busy, ""},
		{105, busy, "WATCHDOG=1\nSTATUS=management reachable; eth0 rx engaged: 16 transfers, 15 limited, 1 paused; LinkSaturated eth0 rx"},
		{109, busy, ""},
		{110, calm, "WATCHDOG=1\nSTATUS=management reachable"},
	} {
		if got := n.news(c.r, time.Unix(int64(c.at), 0)); got != c.want {
			t.Errorf("at %d: %q, want %q", c.at, got, c.want)
		}
	}
	without := &serviceManager{}
	if got := without.news(calm, time.Unix(100, 0)); strings.Contains(got, "WATCHDOG") {
		t.Errorf("without a watchdog: %q", got)
	}
}

// The service manager's status line is one line, and does nothing to a terminal.
func TestHeadlineKeepsOffTheTerminal(t *testing.T) {
	var r watchdog.Report
	printabletest.Fill(&r, 1)
	if line := headline(r); printabletest.Escaped(line) != "" || strings.Contains(line, "\n") {
		t.Errorf("the service manager gets %q", line)
	}
}

// manager is a service manager that listens.
func manager(t *testing.T) (socket string, heard <-chan string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	ch := make(chan string, 1000)
	go func() {
		defer close(ch)
		for buf := make([]byte, 4096); ; {
			n, err := c.Read(buf)
			if err != nil {
				return // closed
			}
			ch <- string(buf[:n])
		}
	}()
	t.Cleanup(func() { c.Close() })
	return socket, ch
}

func TestNotifier(t *testing.T) {
	if t.Setenv("NOTIFY_SOCKET", ""); newServiceManager(slog.Default()) != nil {
		t.Error("tells nobody")
	}
	socket, heard := manager(t)
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "20000")
	n := newServiceManager(slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- n.Run(ctx) }()
	n.cycle(watchdog.Report{}, time.Now())
	if got := <-heard; got != "READY=1\nWATCHDOG=1\nSTATUS=management unknown" {
		t.Errorf("after the first cycle: %q", got)
	}
	select {
	case got := <-heard:
		t.Errorf("without a cycle: %q", got)
	case <-time.After(100 * time.Millisecond): // five times what the watchdog allows
	}
	n.cycle(watchdog.Report{}, time.Now())
	if got := <-heard; got != "WATCHDOG=1" {
		t.Errorf("after another cycle: %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got := <-heard; !strings.HasPrefix(got, "STOPPING=1\n") {
		t.Errorf("at the end: %q", got)
	}
}

// A manager that went away does not end the daemon.
func TestNotifierWithoutListener(t *testing.T) {
	n := &serviceManager{cycles: make(chan struct{}, 1), send: func(string) error { return errors.New("gone") }, log: slog.New(slog.DiscardHandler)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := n.Run(ctx); err != nil {
		t.Error(err)
	}
}
