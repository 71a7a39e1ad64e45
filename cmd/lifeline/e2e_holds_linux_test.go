package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
	"lifeline/watchdog/web"
)

// limitAndPause waits until all n transfers are held, half of them paused by
// hand and the others limited.
func (s *stage) limitAndPause(n int) []web.Transfer {
	s.Helper()
	var all []web.Transfer
	for i, t := range s.ours() {
		if i%2 == 0 {
			if _, err := s.client().Pin(s.Context(), t.ID, web.PinRequest{Pause: true}); err != nil {
				s.Fatal(err)
			}
		}
	}
	s.until("half are paused and half limited", func() bool {
		all = s.ours()
		paused, limited := 0, 0
		for _, t := range all {
			if t.Limit.Pause && t.HeldByUs {
				paused++
			} else if t.InForce.Window > 0 || t.InForce.Pacing > 0 || t.InForce.Shape {
				limited++
			}
		}
		return len(all) == n && paused >= n/2-1 && limited >= n/2-1 // a pulse may be on
	})
	return all
}

// leastFree is below what the kernel gives a new connection (about 64 KB) and
// above every window that Lifeline sets in these labs.
const leastFree = 48 << 10

// hold is what still holds a transfer back; empty when it is free.
func hold(t web.Transfer) string {
	for _, p := range t.Procs {
		if stopped(p) {
			return fmt.Sprintf("%s: process %s is stopped", t.ID, p)
		}
	}
	var why string
	err := sockopt.VisitOnce(t.Socket, func(fd int) error {
		w, pace, prio, err := limitsOf(fd)
		switch {
		case err != nil:
			return err
		case w < leastFree:
			why = fmt.Sprintf("%s: window clamped to %d", t.ID, w)
		case pace != math.MaxUint64 && uint32(pace) != math.MaxUint32:
			why = fmt.Sprintf("%s: paced to %d", t.ID, pace)
		case prio > 15:
			why = fmt.Sprintf("%s: priority %#x", t.ID, prio)
		}
		return nil
	})
	if err != nil && !errors.Is(err, process.ErrGone) {
		return fmt.Sprintf("%s: %v", t.ID, err)
	}
	return why
}

// limitsOf reads what can limit a socket: its window clamp in bytes, its pacing
// rate in bytes/s and its priority.
func limitsOf(fd int) (clamp int, pace uint64, prio int, err error) {
	if clamp, err = unix.GetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP); err != nil {
		return 0, 0, 0, err
	}
	if pace, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE); err != nil {
		return 0, 0, 0, err
	}
	prio, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY)
	return clamp, pace, prio, err
}

// stopped tells whether that very process is in state T.
func stopped(p watchdog.ProcID) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
	if err != nil {
		return false // gone
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	return f[0] == "T" && f[19] == fmt.Sprint(p.Start)
}

// untilFree waits until nothing holds any transfer, and the server's links and
// queues are as before; it gives the time that took.
func (s *stage) untilFree(all []web.Transfer) time.Duration {
	s.Helper()
	start := time.Now()
	why := ""
	for ; time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		if why = s.held(all); why == "" {
			return time.Since(start)
		}
	}
	s.Fatalf("not free after %s: %s", patience, why)
	return 0
}

func (s *stage) held(all []web.Transfer) string {
	for _, t := range all {
		if why := hold(t); why != "" {
			return why
		}
	}
	if d := s.dump(); d != s.before {
		return fmt.Sprintf("links and queues differ, before:\n%s\nnow:\n%s", s.before, d)
	}
	return ""
}

// runOn checks that every transfer still runs and moves.
func (s *stage) runOn() {
	s.Helper()
	a, err := s.lab.Cli.Counters("eth0")
	if err != nil {
		s.Fatal(err)
	}
	s.until("data moves again", func() bool {
		b, err := s.lab.Cli.Counters("eth0")
		return err == nil && b.TxBytes-a.TxBytes+b.RxBytes-a.RxBytes > 20e6
	})
	for _, t := range s.batch {
		select {
		case <-t.Done():
			s.Errorf("a transfer ended: %s", t.Stderr())
		default:
		}
	}
}
