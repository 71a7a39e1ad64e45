package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog"
	"lifeline/watchdog/control"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// stays checks that something holds for a while.
func (s *stage) stays(what string, d time.Duration, cond func(web.Status) bool) {
	s.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if !cond(s.now()) {
			s.Fatalf("not always: %s\n%s", what, s.status())
		}
	}
}

// now is the daemon's status.
func (s *stage) now() web.Status {
	s.Helper()
	st, err := s.daemon.Status(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	return st
}

// baseKnown waits until the administrator's RTT over the empty path is learnt.
func (s *stage) baseKnown() {
	s.Helper()
	s.until("the administrator answers over an empty path", func() bool {
		p, ok := target(s.now(), watchdog.TargetSession)
		return ok && p.Known && p.Delay
	})
}

// each tells whether something holds for all transfers of the server.
func (s *stage) each(cond func(web.Transfer) bool) bool {
	for _, t := range s.ours() {
		if !cond(t) {
			return false
		}
	}
	return true
}

// phase is the controller's of the server's link.
func phase(st web.Status, d watchdog.Direction) control.Phase {
	for _, c := range st.Control {
		if c.Name == "eth0" && c.Direction == d {
			return c.Phase
		}
	}
	return control.Free
}

// A dry run sees and decides, and the kernel, the transfers and the disk are as
// they were.
func TestDryRunTouchesNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	s := buildStage(t, lab.Options{})
	s.launchAs(scenario.Daemon{Args: []string{"--dry-run"}})
	s.start(lab.Transfers{N: 4, Dir: lab.Push})
	s.until("it says what it would limit", func() bool {
		w := s.now().DryRunCounts
		return w != nil && w.Limits >= 4 && strings.Contains(s.daemon.Log(), "would limit")
	})
	s.full()
	if why := s.held(s.ours()); why != "" {
		t.Error(why)
	}
	if st := s.now(); st.GuardPID != 0 || !s.each(func(x web.Transfer) bool { return x.InForce == (watchdog.Limit{}) && !x.HeldByUs }) {
		t.Errorf("something is done:\n%s", s.status())
	}
	if _, err := os.Stat(filepath.Join(s.daemon.Dir, "run", "ledger")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a ledger: %v", err)
	}
	s.daemon.Stop()
	if why := s.held(nil); why != "" {
		t.Errorf("after its end: %s", why)
	}
}

// The operator's choices for a link and for the transfers are kept to.
func TestOperatorsChoices(t *testing.T) {
	t.Parallel() // it mostly waits
	engaged := func(s *stage) {
		s.until("limits hold the link", func() bool { return phase(s.now(), watchdog.Rx) == control.Engaged })
	}
	for _, c := range []struct {
		name, config string
		n            int
		check        func(s *stage)
	}{
		{"off", "[link.eth0]\ningress = \"off\"", 4, func(s *stage) {
			s.full()
			s.stays("nothing is limited", time.Second, func(web.Status) bool {
				return s.each(func(x web.Transfer) bool { return x.InForce == (watchdog.Limit{}) })
			})
		}},
		{"socket", "[link.default]\ningress = \"socket\"", 4, func(s *stage) {
			engaged(s)
			s.stays("only windows", 3*time.Second, func(web.Status) bool {
				return s.each(func(x web.Transfer) bool { return !x.InForce.Shape && x.InForce.Window > 0 })
			})
			if d := s.dump(); d != s.before {
				s.Errorf("before:\n%s\nnow:\n%s", s.before, d)
			}
		}},
		{"shaper", "[link.eth0]\ningress = \"shaper\"", 4, func(s *stage) {
			s.until("the shaper alone holds", func() bool {
				return s.each(func(x web.Transfer) bool { return x.InForce.Shape && x.Limit.Window == 0 })
			})
		}},
		{"max_running", "[control]\nmax_running = 2", 5, func(s *stage) {
			running := func() (n int) {
				for _, x := range s.ours() {
					if !x.Limit.Pause {
						n++
					}
				}
				return n
			}
			s.until("two run", func() bool { return running() == 2 })
			s.until("the others stand still", func() bool {
				n := 0
				for _, x := range s.ours() {
					if x.HeldByUs {
						n++
					}
				}
				return n == 3
			})
			s.stays("not more than two run", 2*time.Second, func(web.Status) bool { return running() <= 2 })
		}},
		{"no pause", "[control]\nmax_running = 1\npause = false", 3, func(s *stage) {
			engaged(s)
			s.stays("nothing is paused", time.Second, func(web.Status) bool {
				return s.each(func(x web.Transfer) bool { return !x.Limit.Pause })
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := setStage(t, lab.Options{}, c.config)
			s.start(lab.Transfers{N: c.n, Dir: lab.Push})
			c.check(s)
		})
	}
}

// A shaper that has used up its budget is not put up again: socket options hold
// the transfers in its place, and that is told as a warning.
func TestShaperBudgetIsKept(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, "[budget]\nshapers = 1\n[link.eth0]\ncapacity_tx = \"100Mbit\"")
	s.start(lab.Transfers{N: 4, Dir: lab.Pull})
	s.until("a shaper stands", func() bool {
		return s.each(func(x web.Transfer) bool { return x.InForce.Shape })
	})
	if s.stands(watchdog.RemedyFailed) {
		t.Errorf("it stands, and something is wrong:\n%s", s.status())
	}
	s.batch.Stop()
	s.until("no transfer is left", func() bool { return len(s.ours()) == 0 })
	s.start(lab.Transfers{N: 4, Dir: lab.Pull})
	s.until("pacing holds the link", func() bool { return s.paced() == 4 && phase(s.now(), watchdog.Tx) == control.Engaged })
	s.until("that is told", func() bool { return s.stands(watchdog.RemedyFailed) })
	s.stays("no shaper", 2*time.Second, func(st web.Status) bool {
		for _, c := range st.Conditions {
			if c.Name == watchdog.RemedyFailed && c.Severity != watchdog.Warning {
				return false
			}
		}
		return !showsShaper(s.dump()) && s.each(func(x web.Transfer) bool { return !x.InForce.Shape })
	})
	if text := s.status(); !strings.Contains(text, "1 of 1 within an hour") || !strings.Contains(text, "meanwhile socket options") {
		t.Errorf("the status does not say so:\n%s", text)
	}
}
