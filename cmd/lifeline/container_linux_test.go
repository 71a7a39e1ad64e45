package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"lifeline/watchdog"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// containerDir holds the manifests that we ship.
const containerDir = "../../configs/packaging/container/"

// manifests are what adds capabilities, and the words after which it lists them.
var manifests = map[string]*regexp.Regexp{
	"daemonset.yaml":     regexp.MustCompile(`\n +add: \[([^\]]*)\]`),
	"compose.yaml":       regexp.MustCompile(`\n +cap_add: \[([^\]]*)\]`),
	"lifeline.container": regexp.MustCompile(`\nAddCapability=(.*)`),
}

// containerSet is what the manifests give, all the same, as setpriv(1) wants it.
func containerSet(t *testing.T) (set string) {
	t.Helper()
	for name, re := range manifests {
		b, err := os.ReadFile(containerDir + name)
		if err != nil {
			t.Fatal(err)
		}
		m := re.FindStringSubmatch(string(b))
		if m == nil {
			t.Fatalf("%s adds no capabilities", name)
		}
		got := "-all"
		for _, c := range strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' || r == ' ' }) {
			got += ",+" + strings.ToLower(c)
		}
		if set != "" && set != got {
			t.Errorf("%s adds %s, another one %s", name, got, set)
		}
		set = got
	}
	return set
}

// contain runs a command as an engine does that shares the machine's pids and
// says nothing of itself: in a file tree of its own, with the capabilities $0.
const contain = `
set -eu
R=$(mktemp -d)
mount -t tmpfs tmpfs "$R"
for d in bin sbin lib lib64 usr etc proc sys dev tmp; do
	[ ! -e /$d ] || { mkdir "$R/$d"; mount --rbind /$d "$R/$d"; }
done
mkdir "$R/run"
exec chroot "$R" setpriv --bounding-set "$0" --inh-caps -all --no-new-privs "$@"`

// In a container without a guard outside of it nothing is done that would stay
// when the engine kills it: nothing is stopped and no queue is made. Limits of
// sockets work.
func TestContainerWithoutGuard(t *testing.T) {
	t.Parallel() // it mostly waits
	s := buildStage(t, lab.Options{})
	s.launch(webConfig, "unshare", "--mount", "--propagation", "private", "sh", "-c", contain, containerSet(t))
	st, err := s.daemon.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range st.Capabilities {
		switch c.Name {
		case "window", "pacing", "priority", "icmp":
			if !c.Available {
				t.Errorf("%s: %s", c.Name, c.Why)
			}
		case "guard", "small-bursts":
			if c.Available || !strings.Contains(c.Why, "without a guard outside") || c.Left == "" {
				t.Errorf("%s: %+v", c.Name, c)
			}
		}
	}
	s.start(lab.Transfers{N: 4, Dir: lab.Pull})
	s.until("transfers are limited", func() bool { return s.paced() == 4 })
	id := s.ours()[0].ID
	if _, err := s.client().Pin(t.Context(), id, web.PinRequest{Pause: true}); err != nil {
		t.Fatal(err)
	}
	s.until("it is told that nothing is paused", func() bool { return s.stands(watchdog.RemedyFailed) })
	for range 10 { // cycles that would stop it
		s.cycles(1)
		for _, x := range s.ours() {
			for _, p := range x.Procs {
				if x.HeldByUs || stopped(p) {
					t.Fatalf("%s is stopped", x.ID)
				}
			}
		}
	}
	if d := s.dump(); d != s.before {
		t.Errorf("links and queues, before:\n%s\nnow:\n%s", s.before, d)
	}
}

// paced counts the transfers that are held by pacing.
func (s *stage) paced() (n int) {
	s.Helper()
	for _, x := range s.ours() {
		if x.InForce.Pacing > 0 {
			n++
		}
	}
	return n
}
