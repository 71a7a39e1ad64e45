package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog"
	"lifeline/watchdog/lab"
)

// privateEtc makes a copy of /etc, and a program that runs the daemon where
// that copy is /etc.
func privateEtc(t *testing.T, l *lab.Lab) (etc, program string) {
	t.Helper()
	for _, tool := range []string{"cp", "unshare", "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	etc = filepath.Join(l.Dir(), "private-etc")
	if out, err := exec.CommandContext(t.Context(), "cp", "-a", "/etc", etc).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, dir := range []string{"iptables", "sysconfig"} {
		if err := os.RemoveAll(filepath.Join(etc, dir)); err != nil {
			t.Fatal(err)
		}
	}
	program = filepath.Join(l.Dir(), "lifeline-in-private-etc")
	script := fmt.Sprintf("#!/bin/sh\nexec unshare -m sh -c 'mount --bind %s /etc && exec %s \"$@\"' lifeline \"$@\"\n", etc, binary)
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return etc, program
}

// TestRebootIsWatched: the daemon follows what happens to the saved rules, and
// asks from where somebody is logged in.
func TestRebootIsWatched(t *testing.T) {
	t.Parallel() // it mostly waits
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	l, err := lab.New(t.Context(), lab.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("lab: %v", err)
		}
	})
	admin, err := l.AdminSession(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(admin.Close)
	etc, program := privateEtc(t, l)
	s := &stage{T: t, lab: l}
	if s.daemon, err = (&scenario.Daemon{Binary: program}).Start(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.daemon.Stop)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", s.daemon.Log())
		}
	})
	rules := filepath.Join(etc, "iptables", "rules.v4")
	save := func(line string) {
		t.Helper()
		text := "*filter\n:INPUT DROP\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n" + line + "COMMIT\n"
		if err := os.MkdirAll(filepath.Dir(rules), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(rules+".new", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(rules+".new", rules); err != nil {
			t.Fatal(err)
		}
	}

	s.untilReboot("unknown", watchdog.RebootUnknown, "no saved IPv4 rules")
	save("-A INPUT -p tcp -j ACCEPT\n") // the directory comes with it
	s.untilReboot("safe", "", "let management in")
	save("")
	s.untilReboot("unsafe", watchdog.RebootUnsafe, "management is locked out")
	if text := s.status(); !strings.Contains(text, "after a reboot: unsafe: IPv4 on ") {
		t.Errorf("the status does not say so:\n%s", text)
	}
	if err := os.Remove(rules); err != nil {
		t.Fatal(err)
	}
	s.untilReboot("unknown", watchdog.RebootUnknown, "no saved IPv4 rules")
}

// untilReboot waits for an answer, and for exactly the condition that goes with
// it; none for "".
func (s *stage) untilReboot(verdict string, condition watchdog.ConditionName, reason string) {
	s.Helper()
	s.until("after a reboot: "+verdict, func() bool {
		st, err := s.daemon.Status(s.Context())
		if err != nil || st.Reboot.Verdict != verdict || !strings.Contains(st.Reboot.Reason, reason) {
			return false
		}
		var raised []watchdog.ConditionName
		for _, c := range st.Conditions {
			if c.Name == watchdog.RebootUnsafe || c.Name == watchdog.RebootUnknown {
				raised = append(raised, c.Name)
			}
		}
		return condition == "" && raised == nil || slices.Equal(raised, []watchdog.ConditionName{condition})
	})
}
