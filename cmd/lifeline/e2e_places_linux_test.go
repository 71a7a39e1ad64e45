package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/ledger"
	"lifeline/watchdog/web"
)

// target is the path to a target that was found in one way.
func target(st web.Status, why watchdog.TargetWhy) (p watchdog.Path, found bool) {
	for _, p := range st.Paths {
		if p.Why == why {
			return p, true
		}
	}
	return p, false
}

// limited waits until every transfer of the server is limited.
func (s *stage) limited(n int) {
	s.Helper()
	s.until("the transfers are limited", func() bool {
		all := s.ours()
		return len(all) == n && s.each(func(x web.Transfer) bool { return x.InForce != (watchdog.Limit{}) })
	})
}

// Wherever the queue lies and however the gateway takes pings, the delay that
// the administrator feels is what steers.
func TestWhereverTheQueueLies(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, c := range []struct {
		name string
		o    lab.Options
		dir  lab.Direction
	}{
		{"beyond a gateway that drops pings", lab.Options{Bottleneck: lab.BeyondGateway, Gateway: lab.GatewayDrops}, lab.Push},
		{"beyond a gateway that answers late", lab.Options{Bottleneck: lab.BeyondGateway, Gateway: lab.GatewayDelays}, lab.Pull},
		{"at the server's link, IPv6", lab.Options{Bottleneck: lab.AtServerLink, Gateway: lab.GatewayAnswers, IPv6: true}, lab.Push},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := setStage(t, c.o, "")
			s.until("the administrator is found and answers", func() bool {
				p, ok := target(s.now(), watchdog.TargetSession)
				return ok && p.Known && p.Delay
			})
			s.start(lab.Transfers{N: 6, Dir: c.dir, IPv6: c.o.IPv6})
			s.limited(6)
			s.until("the delay is held", func() bool {
				p, _ := target(s.now(), watchdog.TargetSession)
				return p.Known && p.Queue() < 20*time.Millisecond
			})
			if g, ok := target(s.now(), watchdog.TargetGateway); ok && g.Delay && !g.Unproven {
				t.Errorf("a gateway that shows no queue gives the delay: %+v", g)
			}
			s.runOn()
		})
	}
}

// Nobody is logged in. The gateway beyond the queue gives the delay from the start.
func TestGatewayGivesTheDelay(t *testing.T) {
	t.Parallel() // it mostly waits
	s := buildLab(t, lab.Options{Gateway: lab.GatewayAnswers})
	s.launch("")
	s.until("the gateway answers", func() bool {
		g, ok := target(s.now(), watchdog.TargetGateway)
		return ok && g.Known && g.Delay && g.Unproven && !g.Doubt
	})
	s.start(lab.Transfers{N: 6, Dir: lab.Push})
	s.until("the gateway gives the delay", func() bool {
		return slices.ContainsFunc(s.now().Control, func(l watchdog.LinkState) bool {
			return l.Transfers >= 6 && l.Delay.Known && !l.Delay.Passive
		})
	})
	s.limited(6)
	s.until("the delay is held", func() bool {
		g, _ := target(s.now(), watchdog.TargetGateway)
		return g.Known && g.Queue() < 20*time.Millisecond
	})
}

// An operator's own qdisc at the root stays as it is, whatever is done.
func TestOperatorsQdiscStays(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{Bottleneck: lab.AtServerLink}, "")
	s.start(lab.Transfers{N: 4, Dir: lab.Pull})
	s.until("transfers are limited", func() bool { return s.paced() == 4 })
	if d := s.dump(); d != s.before {
		t.Errorf("before:\n%s\nnow:\n%s", s.before, d)
	}
}

// A link that is renamed, removed or taken into another network namespace while
// it is shaped leaves nothing behind, and the daemon goes on.
func TestShapedLinkVanishes(t *testing.T) {
	t.Parallel() // it mostly waits
	for _, c := range []struct {
		name string
		do   []string // NETNS is another namespace
		gone bool
		dir  lab.Direction
	}{
		{"renamed", []string{"link", "set", "eth0", "name", "lan9"}, false, lab.Push},
		{"deleted", []string{"link", "del", "eth0"}, true, lab.Push},
		{"moved", []string{"link", "set", "eth0", "netns", "NETNS", "name", "lan9"}, true, lab.Pull},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := setStage(t, lab.Options{SSHPort: sshPort}, "[link.default]\ncapacity_rx = \"100Mbit\"\ncapacity_tx = \"100Mbit\"")
			s.start(lab.Transfers{N: 4, Dir: c.dir})
			s.until("a shaper stands", func() bool {
				return len(s.ours()) == 4 && s.each(func(x web.Transfer) bool { return x.InForce.Shape })
			})
			if !showsShaper(s.dump()) {
				t.Fatal("no shaper is seen where one stands: the test shows nothing")
			}
			if c.dir == lab.Pull {
				s.managementHasItsClass()
			}
			_, other := s.lab.Mgmt.Netns()
			args := strings.Split(strings.Replace(strings.Join(c.do, " "), "NETNS", filepath.Base(other), 1), " ")
			if out, err := s.lab.Srv.Command(t.Context(), "ip", args...).CombinedOutput(); err != nil {
				t.Fatalf("ip %v: %v\n%s", args, err, out)
			}
			if c.gone {
				s.until("the link is reported gone", func() bool { return s.stands(watchdog.LinkDown) })
				s.until("nothing of ours is left", func() bool { return !showsShaper(s.dump()) })
			} else {
				s.until("the link is known by its new name", func() bool {
					for _, l := range s.now().Links {
						if l.Name == "lan9" {
							return true
						}
					}
					return false
				})
				s.runOn()
			}
			s.daemon.Stop()
			if d := s.dump(); showsShaper(d) {
				t.Errorf("left behind:\n%s", d)
			}
			st, err := ledger.Read(filepath.Join(s.daemon.Dir, "run"))
			if err != nil || st.Len() != 0 {
				t.Errorf("left in the ledger: %v, %v", st.Live(), err)
			}
		})
	}
}

// sshPort is where the sshd of some labs listens.
const sshPort = 2222

// managementHasItsClass checks that what leaves the port of sshd goes before
// everything else, though it is not the usual one: the administrator's answers
// are counted in that class.
func (s *stage) managementHasItsClass() {
	s.Helper()
	filter := s.tc("filter", "show", "dev", "eth0")
	if want := fmt.Sprintf("match %04x0000/ffff0000 at 20", sshPort); !strings.Contains(filter, want) {
		s.Errorf("no %q among the filters:\n%s", want, filter)
	}
	s.until("management's packets are in their class", func() bool {
		_, class, found := strings.Cut(s.tc("-s", "class", "show", "dev", "eth0"), "class htb 4c46:10 ")
		return found && !strings.Contains(strings.SplitN(class, "class ", 2)[0], "Sent 0 bytes")
	})
}

// tc runs tc(8) on the server.
func (s *stage) tc(args ...string) string {
	s.Helper()
	out, err := s.lab.Srv.Command(s.Context(), "tc", args...).CombinedOutput()
	if err != nil {
		s.Fatalf("tc %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// showsShaper tells whether a dump shows a shaper.
func showsShaper(dump string) bool {
	return strings.Contains(dump, " ifb ") || strings.Contains(dump, "htb") || strings.Contains(dump, "qdisc ingress")
}
