package remediate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog/ledger"
)

// The descriptors that a guard has of its daemon.
const (
	guardSocket = 3 // over which they speak
	guardPage   = 4 // for their signs of life
)

const (
	maxLine  = 1 << 20         // bytes of a line from the daemon
	undoTime = 5 * time.Second // for receivers that are full
)

// RunGuard is the program of the guard process: it holds the ledger of its
// daemon in memory, and undoes everything when the daemon dies, hangs for
// longer than lease, or when the guard itself is told to end. It writes to log
// only after it has undone everything, as a log may block.
func RunGuard(dir string, lease time.Duration, u Undoer, log *slog.Logger) error {
	signal.Ignore(unix.SIGPIPE, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	if err := unix.SetNonblock(guardSocket, true); err != nil {
		return fmt.Errorf("guard: not started by a daemon: %w", err)
	}
	conn := os.NewFile(guardSocket, "daemon")
	defer conn.Close()
	beats, err := openBeats(guardPage)
	if err != nil {
		return fmt.Errorf("guard: not started by a daemon: %w", err)
	}
	defer beats.close()
	if err := settleIn(); err != nil {
		say(sayOdd + strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	w := &watch{lease: lease}
	if attend(w, beats, conn, terms) == leave {
		return nil
	}
	began := time.Now()
	report, err := undoFor(dir, w.state, u)
	log.Warn("guard undid everything", "daemon", w.state.Identity.Daemon, "killed", report.Killed.PID != 0,
		"entries", len(report.Results), "took", time.Since(began), "error", errors.Join(err, report.Err()))
	return errors.Join(err, report.Err())
}

// settleIn makes the guard small and hard to kill: never chosen when memory
// runs out, never swapped.
func settleIn() error {
	debug.SetGCPercent(20)
	debug.FreeOSMemory() // before locking: locked pages are not given back
	var errs []error
	if err := os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0); err != nil {
		errs = append(errs, fmt.Errorf("oom_score_adj: %w", err))
	}
	// Only pages that are used: a Go program's address space is mostly not.
	if err := unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT); err != nil {
		errs = append(errs, fmt.Errorf("mlockall: %w", err))
	}
	return errors.Join(errs...)
}

// attend listens to the daemon until there is something to do.
func attend(w *watch, beats *beats, conn *os.File, terms <-chan os.Signal) verdict {
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(conn)
		s.Buffer(make([]byte, 0, 4096), maxLine)
		for s.Scan() {
			lines <- append([]byte(nil), s.Bytes()...)
		}
	}()
	timer := time.NewTimer(w.next(time.Now()))
	for {
		v := keepOn
		select {
		case line, ok := <-lines:
			if !ok {
				return undo // the daemon is gone, or speaks no more
			}
			var answer string
			if answer, v = w.hear(line, time.Now()); answer != "" {
				say(answer)
			}
		case <-terms:
			w.parting = time.Now()
			say(sayLeaving)
		case <-timer.C:
			w.see(beats.last(ofDaemon))
			v = w.look(time.Now())
		}
		if v != keepOn {
			return v
		}
		beats.beat(ofGuard)
		timer.Reset(w.next(time.Now()))
	}
}

// say answers the daemon. If it does not take the answer, it is dead, which
// the end of its lines will tell, or it will miss the answer and start
// another guard.
func say(what string) {
	_, _ = unix.SendmsgN(guardSocket, []byte(what+"\n"), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// undoFor ends the daemon and undoes what memory and file say.
func undoFor(dir string, s ledger.State, u Undoer) (Report, error) {
	var r Report
	self, err := Self()
	if err != nil {
		return r, err
	}
	r.Killed, err = endDaemon(s, self) // an error is reported, and undoing begins all the same
	wait, cancel := context.WithTimeout(context.Background(), deathTime)
	defer cancel()
	lock, lockErr := Acquire(wait, dir)
	file, readErr := ledger.Read(dir)
	entries := union(s.Live(), file.Live())
	ctx, cancel := context.WithTimeout(context.Background(), undoTime)
	defer cancel()
	r.Results = u.here(s, self).Undo(ctx, entries)
	r.Damage = file.Damage
	err = errors.Join(err, readErr, lockErr)
	if lockErr != nil {
		return r, err // whoever holds it reconciles
	}
	defer lock.Release()
	l, _, openErr := ledger.Open(dir, self, undoneKeys(r.Results)...)
	if openErr != nil {
		return r, errors.Join(err, openErr)
	}
	defer l.Close()
	return r, errors.Join(err, strike(l, r.Results))
}

// union is all entries of a, and those of b that are not in a.
func union(a, b []ledger.Entry) []ledger.Entry {
	have := map[string]bool{}
	for _, e := range a {
		have[e.Key()] = true
	}
	for _, e := range b {
		if !have[e.Key()] {
			a = append(a, e)
		}
	}
	return a
}
