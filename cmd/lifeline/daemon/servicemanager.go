package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
	"lifeline/watchdog/printable"
)

const (
	// statusEvery is how often the service manager's status line changes at most.
	statusEvery = 5 * time.Second
	// newsEvery is how often it is looked whether there is something to tell.
	newsEvery = time.Second
)

// serviceManager tells the service manager how the daemon does (sd_notify(3)), as a
// task. What it says follows the cycles of the control loop and no clock of its
// own, so that a loop that hangs is noticed.
type serviceManager struct {
	send     func(state string) error
	watchdog time.Duration // WatchdogSec=; 0 without one
	log      *slog.Logger

	cycles chan struct{} // poked by a cycle that may be news
	last   atomic.Pointer[watchdog.Report]
	poked  time.Time // by the loop

	ready  bool
	fed    time.Time // when the manager's watchdog was last fed
	status string    // as last told
	toldAt time.Time
}

// newServiceManager is nil where no service manager listens.
func newServiceManager(log *slog.Logger) *serviceManager {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return nil
	}
	n := &serviceManager{log: log, cycles: make(chan struct{}, 1), send: func(state string) error {
		_, err := sd.SdNotify(false, state)
		return err
	}}
	var err error
	if n.watchdog, err = sd.SdWatchdogEnabled(false); err != nil {
		log.Warn("the service manager's watchdog is not fed", "error", err)
	}
	return n
}

// String names the task.
func (n *serviceManager) String() string { return "service manager" }

// cycle notes that a cycle has ended now.
func (n *serviceManager) cycle(r watchdog.Report, now time.Time) {
	every := newsEvery
	if n.watchdog > 0 {
		every = min(every, n.watchdog/4)
	}
	if now.Sub(n.poked) < every {
		return
	}
	n.poked = now
	n.last.Store(&r)
	wakeUp(n.cycles)
}

// Run tells what is to be told after each cycle, until ctx ends.
func (n *serviceManager) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			n.tell(sd.SdNotifyStopping + "\nSTATUS=undoing everything")
			return nil
		case <-n.cycles:
			if s := n.news(*n.last.Load(), time.Now()); s != "" {
				n.tell(s)
			}
		}
	}
}

func (n *serviceManager) tell(state string) {
	if err := n.send(state); err != nil {
		n.log.Warn("the service manager does not listen", "error", err)
	}
}

// news is what a cycle that ended now gives to tell; empty for nothing.
func (n *serviceManager) news(r watchdog.Report, now time.Time) string {
	var lines []string
	if !n.ready {
		n.ready = true
		lines = append(lines, sd.SdNotifyReady)
	}
	if n.watchdog > 0 && now.Sub(n.fed) >= n.watchdog/4 {
		n.fed = now
		lines = append(lines, sd.SdNotifyWatchdog)
	}
	if now.Sub(n.toldAt) >= statusEvery {
		if s := headline(r); s != n.status {
			n.status, n.toldAt = s, now
			lines = append(lines, "STATUS="+s)
		}
	}
	return strings.Join(lines, "\n")
}

// headline puts a cycle into one line.
func headline(r watchdog.Report) string {
	parts := []string{"management " + r.Snapshot.Management.String()}
	for _, l := range r.Decision.Links {
		if l.Phase != control.Free {
			parts = append(parts, fmt.Sprintf("%s %s %s: %d transfers, %d limited, %d paused",
				l.Name, l.Direction, l.Phase, l.Transfers, l.Limited, l.Paused))
		}
	}
	for _, c := range r.Decision.Conditions {
		parts = append(parts, fmt.Sprintf("%s %s", c.Name, c.Subject))
	}
	return printable.String(strings.Join(parts, "; ")) // a line end would begin another word to the manager
}
