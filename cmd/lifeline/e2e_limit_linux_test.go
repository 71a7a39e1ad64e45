package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// lifeline runs a command that asks the daemon, and gives what it printed.
func (s *stage) lifeline(args ...string) (string, error) {
	s.Helper()
	args = append(args, "--socket", filepath.Join(s.daemon.Dir, "run", "control.sock"))
	out, err := exec.CommandContext(s.Context(), binary, args...).CombinedOutput()
	return string(out), err
}

// arriving is what comes in on the server's link, bits/s, over that long.
func (s *stage) arriving(d time.Duration) float64 {
	s.Helper()
	a, err := s.lab.Srv.Counters("eth0")
	if err != nil {
		s.Fatal(err)
	}
	time.Sleep(d)
	b, err := s.lab.Srv.Counters("eth0")
	if err != nil {
		s.Fatal(err)
	}
	return float64(b.RxBytes-a.RxBytes) * 8 / b.At.Sub(a.At).Seconds()
}

// comesTo waits until what arrives is within 15 % of a rate in bits/s, for two
// windows of three seconds in a row.
func (s *stage) comesTo(rate float64) {
	s.Helper()
	var got []string
	good := 0
	for end := time.Now().Add(patience); time.Now().Before(end) && good < 2; {
		v := s.arriving(3 * time.Second)
		got = append(got, fmt.Sprintf("%.2f", v/1e6))
		if good++; v < 0.85*rate || v > 1.15*rate {
			good = 0
		}
	}
	s.Logf("wanted %.1f Mbit/s, measured %s", rate/1e6, strings.Join(got, " "))
	if good < 2 {
		s.Errorf("%.1f Mbit/s were asked for\n%s", rate/1e6, s.status())
	}
}

// only is the one transfer that there is, once it moves.
func (s *stage) only() web.Transfer {
	s.Helper()
	var t web.Transfer
	s.until("the transfer moves", func() bool {
		ours := s.ours()
		if len(ours) == 1 {
			t = ours[0]
		}
		return len(ours) == 1 && t.Rate > 0
	})
	return t
}

// unshaped is a lab in which nothing but rsync's own --bwlimit, 160 Mbit/s, is in
// the way of a transfer.
var unshaped = lab.Options{Rate: 2e9}

// A transfer that comes in is held at the rate that an operator asked for, on a
// path as short as a LAN, whose RTT no window turns into a rate.
func TestLimitHoldsAReceiver(t *testing.T) {
	for _, c := range []struct {
		name string
		lab  lab.Options
		ts   lab.Transfers
	}{
		{"unshaped", unshaped, lab.Transfers{}},
		{"bottleneck", lab.Options{}, lab.Transfers{}},
		{"unshaped, ssh", unshaped, lab.Transfers{Via: lab.ViaSSH}},
		{"bottleneck, IPv6", lab.Options{IPv6: true}, lab.Transfers{IPv6: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := setStage(t, c.lab, "")
			c.ts.Args = []string{"--bwlimit=20000"}
			s.start(c.ts)
			id := string(s.only().ID)
			for _, mbit := range []float64{10, 2} {
				out, err := s.lifeline("limit", id, fmt.Sprintf("%.0fMbit", mbit))
				if want := fmt.Sprintf("%s is held at %.1f Mbit/s\n", id, mbit); err != nil || out != want {
					t.Errorf("limit: %q, %v; want %q", out, err, want)
				}
				s.comesTo(mbit * 1e6)
			}
			if out, err := s.lifeline("resume", id); err != nil {
				t.Errorf("resume: %q, %v", out, err)
			}

			s.until("it is fast again", func() bool { return s.arriving(time.Second) > 20e6 })
			s.until("nothing is left", func() bool { return s.dump() == s.before })
		})
	}
}

// Where a rate cannot be enforced that is said at once, with the rate that the
// transfer has, and in the status, and nothing is changed for it.
func TestLimitThatCannotBeEnforced(t *testing.T) {
	for _, c := range []struct{ name, config, qdisc, why string }{
		{"socket", "[link.eth0]\ningress = \"socket\"", "", `ingress = "socket" allows no shaper`},
		{"off", "[link.eth0]\ningress = \"off\"", "", `ingress = "off" allows no shaper`},
		{"an operator's qdisc", "", "ingress", "an operator's ingress qdisc stands on the link"},
		{"an operator's clsact", "", "clsact", "an operator's clsact qdisc stands on the link"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := buildStage(t, unshaped)
			if c.qdisc != "" {
				tc := s.lab.Srv.Command(t.Context(), "tc", "qdisc", "add", "dev", "eth0", c.qdisc)
				if err := tc.Run(); err != nil {
					t.Skip(err)
				}
				s.before = s.dump()
			}
			s.launch(c.config)
			s.start(lab.Transfers{Args: []string{"--bwlimit=8000"}})
			id := string(s.only().ID)
			out, err := s.lifeline("limit", id, "10Mbit")
			said := regexp.MustCompile(`^lifeline: transfer ` + id + `: asked for 10\.0 Mbit/s; cannot be enforced here: .*; runs at [0-9.]+ Mbit/s\n$`)
			if err == nil || !said.MatchString(out) || !strings.Contains(out, c.why) {
				t.Errorf("limit: %q, %v; want %q", out, err, c.why)
			}
			s.until("the status says so too", func() bool {
				return strings.Contains(s.status(), id+" asked for 10.0 Mbit/s; cannot be enforced here: ") && strings.Contains(s.status(), c.why)
			})
			if s.dump() != s.before {
				t.Errorf("something was put on the link:\n%s", s.dump())
			}
			if s.stands(watchdog.RemedyFailed) {
				t.Errorf("it counts as a remedy that failed:\n%s", s.status())
			}
			if out, err := s.lifeline("resume", id); err != nil || strings.Contains(s.status(), "asked for") && !s.clears() {
				t.Errorf("resume: %q, %v\n%s", out, err, s.status())
			}
		})
	}
}

// clears waits until no wish is told of any more.
func (s *stage) clears() bool {
	s.until("the wish is gone", func() bool { return !strings.Contains(s.status(), "asked for") })
	return true
}

// Two transfers have rates of their own beside others that a shaper of the link holds:
// these have what is left of its rate, and the daemon's death takes all of it away.
func TestLimitsBesideTheLinksShaper(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, "[link.eth0]\ncapacity_rx = \"100Mbit\"\ningress = \"shaper\"")
	s.start(lab.Transfers{N: 4})
	shaper := func() float64 { // bits/s
		for _, c := range s.now().Control {
			if c.Direction == watchdog.Rx {
				return c.Shaper * 8
			}
		}
		return 0
	}
	s.until("the shaper holds the link", func() bool { return shaper() > 0 && s.each(inItsClass) })
	rates := map[watchdog.TransferID]float64{}
	for i, t := range s.ours()[:2] {
		rates[t.ID] = []float64{5e6, 1e6}[i] / 8
		if out, err := s.lifeline("limit", string(t.ID), fmt.Sprintf("%.0fkbit", rates[t.ID]*8/1e3)); err != nil {
			s.Fatal(out)
		}
	}
	s.until("each has its own rate", func() bool {
		return shaper() > 0 && s.each(func(x web.Transfer) bool {
			if want := rates[x.ID]; want > 0 {
				return x.Rate > 0.85*want && x.Rate < 1.15*want && x.InForce.Rate == want
			}
			return inItsClass(x)
		})
	})
	s.until("the others have the rest of the shaper's rate", func() bool {
		may, has := shaper(), s.arriving(time.Second)
		s.Logf("%.1f Mbit/s of %.1f", has/1e6, may/1e6)
		return may > 0 && has > 0.8*may && has < 1.1*may
	})
	all := s.ours()
	send(t, s.daemon.Pid(), unix.SIGKILL)
	s.untilFree(all)
}

func inItsClass(x web.Transfer) bool { return x.InForce.Shape }

// A sender's rate is its pacing, with and without the link's shaper.
func TestLimitHoldsASender(t *testing.T) {
	for _, config := range []string{"", "[link.eth0]\ncapacity_tx = \"100Mbit\"\negress = \"shaper\""} {
		t.Run(config, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := setStage(t, lab.Options{}, config)
			s.start(lab.Transfers{N: 2, Dir: lab.Pull})
			if config != "" {
				s.until("the shaper stands", func() bool { return s.now().Control[0].Shaper > 0 })
			}
			one := s.ours()[0]
			if out, err := s.lifeline("limit", string(one.ID), "10Mbit"); err != nil || out != string(one.ID)+" is held at 10.0 Mbit/s\n" {
				t.Errorf("limit: %q, %v", out, err)
			}
			s.until("it has its rate, and the other more", func() bool {
				return s.each(func(x web.Transfer) bool {
					if x.ID == one.ID {
						return x.Rate > 8.5e6/8 && x.Rate < 11.5e6/8
					}
					return x.Rate > 1.5*10e6/8
				})
			})
		})
	}
}

// The daemon's death, and the end of a transfer, take away what stood for it alone.
func TestLimitIsUndone(t *testing.T) {
	for name, end := range map[string]func(s *stage){
		"daemon killed": func(s *stage) { send(s.T, s.daemon.Pid(), unix.SIGKILL) },
		"both killed, and released": func(s *stage) {
			guard := s.guardPID()
			send(s.T, guard, unix.SIGSTOP) // so that it cannot be quicker than the second kill
			send(s.T, s.daemon.Pid(), unix.SIGKILL)
			send(s.T, guard, unix.SIGKILL)
			out, err := s.lab.Srv.Command(s.Context(), binary, "release", "--run-dir", filepath.Join(s.daemon.Dir, "run")).CombinedOutput()
			if err != nil {
				s.Errorf("release: %v\n%s", err, out)
			}
		},
		"transfer ends": func(s *stage) { s.batch.Stop() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := setStage(t, unshaped, "")
			s.start(lab.Transfers{Args: []string{"--bwlimit=20000"}})
			if out, err := s.lifeline("limit", string(s.only().ID), "10Mbit"); err != nil {
				t.Fatal(out)
			}
			if s.dump() == s.before {
				t.Error("nothing stands")
			}
			end(s)
			s.until("nothing is left", func() bool { return s.dump() == s.before })
		})
	}
}
