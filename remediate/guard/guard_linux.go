package guard

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/undo"
)

// The descriptors that a guard has of its daemon.
const (
	guardSocket     = 3 // over which they speak
	guardHeartbeats = 4 // for their signs of life
)

const maxLine = 1 << 20 // bytes of a line from the daemon

// Run is the program of the guard process: it holds the ledger of its
// daemon in memory, and undoes everything when the daemon dies, hangs for
// longer than lease, or when the guard itself is told to end. It writes to log
// only after it has undone everything, as a log may block.
func Run(dir string, lease time.Duration, u undo.Undoer, log *slog.Logger) error {
	signal.Ignore(unix.SIGPIPE, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT)
	if err := unix.SetNonblock(guardSocket, true); err != nil {
		return fmt.Errorf("guard: not started by a daemon: %w", err)
	}
	conn := os.NewFile(guardSocket, "daemon")
	defer conn.Close()
	beats, err := mapHeartbeats(guardHeartbeats)
	if err != nil {
		return fmt.Errorf("guard: not started by a daemon: %w", err)
	}
	defer beats.close()
	if err := hardenSelf(); err != nil {
		sendLine(msgDegraded + strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	w := &leaseWatch{lease: lease}
	if serve(w, beats, conn, terms) == exitQuietly {
		return nil
	}
	began := time.Now()
	report, err := undo.AfterDaemon(dir, w.state, u)
	log.Warn("guard undid everything", "daemon", w.state.Identity.Daemon, "killed", report.Killed.PID != 0,
		"entries", len(report.Results), "took", time.Since(began), "error", errors.Join(err, report.Err()))
	return errors.Join(err, report.Err())
}

// hardenSelf makes the guard small and hard to kill: never chosen when memory
// runs out, never swapped.
func hardenSelf() error {
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

// serve listens to the daemon until there is something to do.
func serve(w *leaseWatch, beats *heartbeats, conn *os.File, terms <-chan os.Signal) verdict {
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(conn)
		s.Buffer(make([]byte, 0, 4096), maxLine)
		for s.Scan() {
			lines <- append([]byte(nil), s.Bytes()...)
		}
	}()
	timer := time.NewTimer(w.untilNext(time.Now()))
	for {
		v := keepWatching
		select {
		case line, ok := <-lines:
			if !ok {
				return undoAll // the daemon is gone, or speaks no more
			}
			var answer string
			if answer, v = w.handleLine(line, time.Now()); answer != "" {
				sendLine(answer)
			}
		case <-terms:
			w.leavingSince = time.Now()
			sendLine(msgLeaving)
		case <-timer.C:
			w.daemonBeat(beats.last(ofDaemon))
			now := time.Now()
			var daemon process.Activity
			if w.look(now) { // what cannot be read is not starved
				daemon, _ = process.ActivityOf(w.state.Identity.Daemon)
			}
			v = w.judge(now, daemon)
		}
		if v != keepWatching {
			return v
		}
		beats.beat(ofGuard)
		timer.Reset(w.untilNext(time.Now()))
	}
}

// sendLine answers the daemon. If it does not take the answer, it is dead, which
// the end of its lines will tell, or it will miss the answer and start
// another guard.
func sendLine(what string) {
	_, _ = unix.SendmsgN(guardSocket, []byte(what+"\n"), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}
