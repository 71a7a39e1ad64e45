package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// Transfers that end while they are limited, and a link that loses its
// carrier, are no trouble.
func TestEndWhileLimited(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, "")
	s.start(lab.Transfers{N: 8, Dir: lab.Push})
	s.limitAndPause(8)
	s.batch.Stop()
	s.batch = nil
	s.until("no transfer is left", func() bool { return len(s.ours()) == 0 })
	s.start(lab.Transfers{N: 4, Dir: lab.Pull})
	if err := s.lab.Srv.SetCarrier(false); err != nil {
		t.Fatal(err)
	}
	s.until("the link is reported down", func() bool { return s.stands(watchdog.LinkDown) })
	if err := s.lab.Srv.SetCarrier(true); err != nil {
		t.Fatal(err)
	}
	s.until("the link is up again", func() bool { return !s.stands(watchdog.LinkDown) })
}

// Whatever is done to them, transfers end well and their files are right:
// with timeouts of 10 s at both ends, by daemon and by ssh.
func TestFilesAreRightAfterAnySequence(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, via := range []lab.Via{lab.ViaDaemon, lab.ViaSSH} {
		for _, dir := range []lab.Direction{lab.Push, lab.Pull} {
			t.Run(fmt.Sprint(via, " ", dir), func(t *testing.T) {
				t.Parallel() // it mostly waits
				s := setStage(t, lab.Options{Files: 2, FileSize: 8 << 20, RsyncdTimeout: 10 * time.Second}, "")
				s.begin(lab.Transfers{N: 5, Dir: dir, Via: via, Timeout: 10 * time.Second})
				// On a slow machine the first may have ended before the last begins.
				s.until("transfers are known", func() bool { return len(s.ours()) > 0 })
				s.harass(rand.New(rand.NewPCG(1, uint64(via)*2+uint64(dir))), 8*time.Second)
				s.letGo()
				end, cancel := context.WithTimeout(t.Context(), 3*patience)
				defer cancel()
				if err := s.lab.VerifyChecksums(end); err != nil {
					t.Errorf("%v\n%s", err, s.status())
				}
			})
		}
	}
}

// letGo takes every wish back.
func (s *stage) letGo() {
	s.Helper()
	for _, tr := range s.ours() {
		if _, err := s.client().Pin(s.Context(), tr.ID, web.PinRequest{}); err != nil && err.Error() != web.ErrNoTransfer.Error() {
			s.Error(err)
		}
	}
}

// harass pauses, limits and resumes transfers at random for a while.
func (s *stage) harass(r *rand.Rand, d time.Duration) {
	for end := time.Now().Add(d); time.Now().Before(end); {
		all := s.ours()
		if len(all) == 0 {
			return
		}
		var p web.PinRequest
		switch r.IntN(3) {
		case 0:
			p.Pause = true
		case 1:
			p.Rate = 1e5 + r.Float64()*2e6
		}
		_, err := s.client().Pin(s.Context(), all[r.IntN(len(all))].ID, p)
		if err != nil && err.Error() != web.ErrNoTransfer.Error() {
			s.Errorf("pin %+v: %v", p, err)
		}
		time.Sleep(time.Duration(r.IntN(400)) * time.Millisecond)
	}
}
