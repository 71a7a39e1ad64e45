package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog/lab"
)

func send(t *testing.T, pid int, sig unix.Signal) {
	t.Helper()
	if err := unix.Kill(pid, sig); err != nil {
		t.Fatalf("signal %v to %d: %v", sig, pid, err)
	}
}

func (s *stage) guardPID() int {
	s.Helper()
	pid := 0
	s.until("a guard has been started", func() bool {
		st, err := s.daemon.Status(s.Context())
		pid = st.GuardPID
		return err == nil && pid != 0
	})
	return pid
}

// undoneWithin is what the guard may take from the moment at which it sees that
// its daemon is gone.
const undoneWithin = 2 * time.Second

var guardSaid = regexp.MustCompile(`msg="guard undid everything".* entries=(\d+) took=(\S+) error=(.*)`)

// guardTook is how long the guard undid, by its own clock and word: how long this
// process had to wait to see it says more of a busy machine.
func (s *stage) guardTook() time.Duration {
	s.Helper()
	var said []string
	s.until("the guard says that it undid everything", func() bool {
		said = guardSaid.FindStringSubmatch(s.daemon.Log())
		return said != nil
	})
	took, err := time.ParseDuration(said[2])
	if err != nil || said[1] == "0" || said[3] != "<nil>" {
		s.Fatalf("the guard says %q: %v", said[0], err)
	}
	return took
}

// The guard undoes everything within two seconds of the daemon's death. On a
// machine that stood still meanwhile it gets a second chance.
func TestKilledDaemonIsUndone(t *testing.T) {
	for _, dir := range []lab.Direction{lab.Push, lab.Pull} {
		t.Run(dir.String(), func(t *testing.T) {
			s := setStage(t, lab.Options{}, "")
			s.start(lab.Transfers{N: 16, Dir: dir})
			took := s.killAndWait(16)
			if took >= undoneWithin {
				t.Logf("undoing took %s, once more", took)
				s.launch("")
				took = s.killAndWait(16)
			}
			if took >= undoneWithin {
				t.Errorf("undoing took %s, twice, and may take %s", took, undoneWithin)
			}
			s.runOn()
		})
	}
}

// killAndWait kills the daemon while half of n transfers are paused and half
// limited, and gives how long its guard undid.
func (s *stage) killAndWait(n int) time.Duration {
	s.Helper()
	s.until("all transfers are known", func() bool { return len(s.ours()) >= n })
	all := s.limitAndPause(n)
	send(s.T, s.daemon.Pid(), unix.SIGKILL)
	free := s.untilFree(all)
	took := s.guardTook()
	s.Logf("seen free %s after kill -9; the guard undid for %s", free, took)
	return took
}

func TestReleaseAfterBothAreKilled(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, "")
	s.start(lab.Transfers{N: 16, Dir: lab.Push})
	all := s.limitAndPause(16)
	guard := s.guardPID()
	send(t, guard, unix.SIGSTOP) // so that it cannot be quicker than the second kill
	send(t, s.daemon.Pid(), unix.SIGKILL)
	send(t, guard, unix.SIGKILL)
	if s.held(all) == "" {
		t.Fatal("nothing was held: the test shows nothing")
	}
	cmd := s.lab.Srv.Command(t.Context(), binary, "release", "--run-dir", filepath.Join(s.daemon.Dir, "run"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("release: %v\n%s", err, out)
	}
	s.untilFree(all)
	s.runOn()
	again := s.lab.Srv.Command(t.Context(), binary, "release", "--run-dir", filepath.Join(s.daemon.Dir, "run"))
	if out, err := again.CombinedOutput(); err != nil || !strings.Contains(string(out), "0 changes") {
		t.Errorf("a second release: %v\n%s", err, out)
	}
}

func TestTermUndoesBeforeExit(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, "")
	s.start(lab.Transfers{N: 8, Dir: lab.Pull})
	all := s.limitAndPause(8)
	s.daemon.Stop()
	if why := s.held(all); why != "" {
		t.Errorf("the daemon has ended, and %s", why)
	}
	s.runOn()
}

// A daemon that hangs is killed by its guard, and wakes up to nothing.
func TestHungDaemonIsEnded(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, "")
	s.start(lab.Transfers{N: 8, Dir: lab.Push})
	all := s.limitAndPause(8)
	send(t, s.daemon.Pid(), unix.SIGSTOP)
	t.Logf("seen free %s after SIGSTOP; the guard undid for %s", s.untilFree(all), s.guardTook())
	_ = unix.Kill(s.daemon.Pid(), unix.SIGCONT) // it should be dead: nothing to wake
	s.runOn()
	if why := s.held(all); why != "" {
		t.Errorf("after SIGCONT: %s", why)
	}
}

// A guard that is killed is replaced, and the new one does its duty.
func TestKilledGuardIsReplaced(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, "")
	s.start(lab.Transfers{N: 4, Dir: lab.Push})
	all := s.limitAndPause(4)
	old := s.guardPID()
	send(t, old, unix.SIGKILL)
	s.until("another guard is there", func() bool {
		st, err := s.daemon.Status(t.Context())
		return err == nil && st.GuardPID != 0 && st.GuardPID != old
	})
	send(t, s.daemon.Pid(), unix.SIGKILL)
	s.untilFree(all)
}
