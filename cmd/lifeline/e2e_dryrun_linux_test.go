package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// ask runs the command line on the daemon's socket.
func (s *stage) ask(args ...string) string {
	s.Helper()
	args = append(args, "--socket", filepath.Join(s.daemon.Dir, "run", "control.sock"))
	out, err := exec.CommandContext(s.Context(), binary, args...).CombinedOutput()
	if err != nil {
		s.Fatalf("lifeline %q: %v\n%s", args, err, out)
	}
	return string(out)
}

// enforced are words of something that is done, in a text that may say "would".
var enforced = regexp.MustCompile(`(?i)limits hold|shaper holds|draining|gave way|is paused|is held|NotOurQueue|cut for a moment`)

// A dry run on a link that eight transfers keep full for long concludes nothing
// from what it did not do, and nothing that it says reads as if it were done.
func TestDryRunConcludesNothing(t *testing.T) {
	for name, dir := range map[string]lab.Direction{"push": lab.Push, "pull": lab.Pull} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := buildStage(t, lab.Options{})
			s.launchAs(scenario.Daemon{Args: []string{"--dry-run"}})
			s.baseKnown()
			s.start(lab.Transfers{N: 8, Dir: dir})
			s.full()
			s.until("the delay that stays is a warning", func() bool {
				st := s.now()
				return worst(st, watchdog.LinkSaturated) == watchdog.Warning
			})
			s.stays("nothing reads as done", 20*time.Second, func(st web.Status) bool { return s.onlyWould(st) })
			id := string(s.ours()[0].ID)
			for _, c := range []struct {
				want string
				args []string
			}{
				{"dry run: would pause " + id + "; nothing was changed\n", []string{"pause", id}},
				{"dry run: would hold " + id + " at 20.0 Mbit/s; nothing was changed\n", []string{"limit", id, "20Mbit"}},
				{"dry run: would give " + id + " back to the watchdog; nothing was changed\n", []string{"resume", id}},
			} {
				if got := s.ask(c.args...); got != c.want {
					t.Errorf("%q, want %q", got, c.want)
				}
			}
			if h := s.ask("history"); enforced.MatchString(h) {
				t.Errorf("history:\n%s", h)
			}
			if why := s.held(s.ours()); why != "" {
				t.Error(why)
			}
		})
	}
}

// worst is the severity of a condition that stands; empty without it.
func worst(st web.Status, name watchdog.ConditionName) (worst watchdog.Severity) {
	for _, c := range st.Conditions {
		if c.Name == name && worst != watchdog.Warning {
			worst = c.Severity
		}
	}
	return worst
}

// onlyWould checks text, JSON and log.
func (s *stage) onlyWould(st web.Status) bool {
	var text, data bytes.Buffer
	if err := st.Text(&text); err != nil {
		s.Fatal(err)
	}
	if err := json.NewEncoder(&data).Encode(st); err != nil {
		s.Fatal(err)
	}
	for what, said := range map[string]string{"status": text.String(), "JSON": data.String(), "log": s.daemon.Log()} {
		if found := enforced.FindString(said); found != "" {
			s.Errorf("the %s says %q:\n%s", what, found, said)
			return false
		}
	}
	for _, c := range st.Control {
		if c.Limited+c.Paused != 0 || c.Shaper != 0 || c.BaseProbe || c.Transfers > 0 && !strings.HasPrefix(c.Why, "would") {
			s.Errorf("%+v", c)
			return false
		}
	}
	for _, t := range st.Transfers {
		if !t.Foreign && (t.InForce != (watchdog.Limit{}) || !strings.HasPrefix(t.Mechanism, "would")) {
			s.Errorf("%s: %s, in force %+v", t.ID, t.Mechanism, t.InForce)
			return false
		}
	}
	return true
}

// warned is a line of the log that tells of a warning of the link's.
var warned = regexp.MustCompile(`condition=\w+ subject="eth0.*severity=(warning|critical).*`)

// A normal backup raises no warning in its whole life.
func TestNormalBackupDoesNotWarn(t *testing.T) {
	for name, dir := range map[string]lab.Direction{"push": lab.Push, "pull": lab.Pull} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it mostly waits
			s := setStage(t, lab.Options{}, "")
			s.baseKnown()
			s.start(lab.Transfers{N: 8, Dir: dir})
			var last web.Status
			told := false
			calm := func(st web.Status) bool {
				last = st
				told = told || worst(st, watchdog.LinkSaturated) == watchdog.Info
				for _, c := range st.Conditions {
					if c.Severity != watchdog.Info && strings.HasPrefix(c.Subject.String(), "eth0") {
						return false
					}
				}
				return true
			}
			s.stays("no warning of the link", 25*time.Second, calm)
			s.batch.Stop()
			s.stays("no warning afterwards", 12*time.Second, calm)
			if !told {
				t.Errorf("a full link is not told of at all: %+v", last.Conditions)
			}
			if line := warned.FindString(s.daemon.Log()); line != "" {
				t.Error("the log warns: " + line)
			}
		})
	}
}
