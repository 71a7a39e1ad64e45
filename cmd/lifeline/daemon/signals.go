package daemon

import (
	"context"
	"log/slog"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"
)

// signals logs the signals that a daemon is sent, and that it outlives, as a
// task. One that ended by them would leave the line unprotected: by a SIGHUP that
// was to make it read its configuration anew, or that the kernel sends when the
// terminal is gone from which somebody started it.
type signals struct {
	log  *slog.Logger
	came chan os.Signal
}

// catchSignals keeps them from ending the daemon, from now on. They are caught and
// not ignored: what is ignored would be ignored by the programs that we start too.
func catchSignals(log *slog.Logger) *signals {
	s := &signals{log, make(chan os.Signal, 4)}
	signal.Notify(s.came, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2)
	signal.Notify(make(chan os.Signal, 1), unix.SIGPIPE) // nobody reads the log any more, and nobody can be told of it
	return s
}

// String names the task.
func (s *signals) String() string { return "signals" }

// Run logs them until ctx ends; then they are still outlived.
func (s *signals) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case sig := <-s.came:
			s.tell(sig)
		}
	}
}

func (s *signals) tell(sig os.Signal) {
	if sig == unix.SIGHUP {
		s.log.Warn("SIGHUP: Lifeline goes on; reload is not supported yet: a restart applies a new configuration")
		return
	}
	s.log.Warn("the signal means nothing to Lifeline, which goes on", "signal", sig.String())
}
