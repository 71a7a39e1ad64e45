package procevents

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// recorder keeps what a connector delivers.
type recorder struct {
	mu     sync.Mutex
	events []Event
	lost   bool
}

func (r *recorder) deliver(events []Event, lost bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, events...)
	r.lost = r.lost || lost
}

func (r *recorder) has(want ...Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !slices.ContainsFunc(want, func(e Event) bool { return !slices.Contains(r.events, e) })
}

func (r *recorder) overrun() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}

// await waits for a condition, for as long as a busy machine may need.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestConnector(t *testing.T) {
	conn, err := Open()
	if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var r recorder
	done := make(chan error, 1)
	go func() { done <- conn.Run(ctx, r.deliver) }()
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	pid := c.Process.Pid
	await(t, "fork, exec and exit of a process", func() bool {
		return r.has(Event{Kind: Fork, PID: pid, Parent: os.Getpid()}, Event{Kind: Exec, PID: pid}, Event{Kind: Exit, PID: pid})
	})
	thread := make(chan int)
	go func() {
		runtime.LockOSThread() // the thread ends with the goroutine
		thread <- unix.Gettid()
	}()
	tid := <-thread
	if err := exec.Command("true").Run(); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	if slices.ContainsFunc(r.events, func(e Event) bool { return e.PID == tid }) {
		t.Errorf("thread %d was let through", tid)
	}
	r.mu.Unlock()
	before := openFDs(t)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
	if after := openFDs(t); after != before-1 {
		t.Errorf("%d descriptors before the end, %d after", before, after)
	}
}

func TestConnectorOverrun(t *testing.T) {
	conn, err := Open()
	if err != nil {
		t.Skip(err)
	}
	if err := conn.raw.Control(func(sock uintptr) {
		_ = unix.SetsockoptInt(int(sock), unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	}); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if err := exec.Command("true").Run(); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var r recorder
	done := make(chan error, 1)
	go func() { done <- conn.Run(ctx, r.deliver) }()
	await(t, "lost events to be told", r.overrun)
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("run: %v", err)
	}
}

// openFDs counts what this process has open.
func openFDs(t *testing.T) int {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}
