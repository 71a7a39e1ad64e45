package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lifeline/cmd/lifeline/daemon"
	"lifeline/watchdog"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// unitFile is the service that we ship.
const unitFile = "../../configs/packaging/systemd/lifeline.service"

// boundingSet is what the unit leaves to the daemon, as setpriv(1) wants it.
func boundingSet(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	set := []string{"-all"}
	for line := range strings.Lines(string(b)) {
		if names, ok := strings.CutPrefix(line, "CapabilityBoundingSet="); ok {
			for _, n := range strings.Fields(names) {
				set = append(set, "+"+strings.ToLower(strings.TrimPrefix(n, "CAP_")))
			}
		}
	}
	if len(set) < 5 {
		t.Fatalf("%s: bounding set %v", unitFile, set)
	}
	return strings.Join(set, ",")
}

// available lists what a daemon can do.
func (s *stage) available() (names []string) {
	s.Helper()
	st, err := s.daemon.Status(s.Context())
	if err != nil {
		s.Fatal(err)
	}
	for _, c := range st.Capabilities {
		if c.Available {
			names = append(names, c.Name)
		}
	}
	return names
}

// niceValues gives those of the threads whose lines of /proc/PID/stat these are
// (proc_pid_stat(5)), each once, and without the one that the pre-reboot check is
// started from.
func niceValues(t *testing.T, lines string) (values []int) {
	t.Helper()
	for line := range strings.Lines(lines) {
		_, rest, _ := strings.Cut(line, ") ") // then the state, field 3
		f := strings.Fields(rest)
		if len(f) < 17 {
			t.Fatalf("not a line of /proc/PID/stat: %q", line)
		}
		v, err := strconv.Atoi(f[16])
		if err != nil {
			t.Fatal(err)
		}
		if v != daemon.CheckNice {
			values = append(values, v)
		}
	}
	slices.Sort(values)
	return slices.Compact(values)
}

// threads gives the lines of /proc/PID/stat of all threads of a process.
func threads(t *testing.T, pid int) (lines string) {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(files) == 0 {
		t.Fatalf("process %d has no threads: %v", pid, err)
	}
	for _, name := range files {
		b, _ := os.ReadFile(name) // it may have ended meanwhile
		lines += string(b)
	}
	return lines
}

// hurried checks the nice value of all threads of the daemon and of its guard.
func (s *stage) hurried(want int) {
	s.Helper()
	for _, pid := range []int{s.daemon.Pid(), s.guardPID()} {
		s.until("the nice value is right", func() bool {
			return slices.Equal(niceValues(s.T, threads(s.T, pid)), []int{want})
		})
	}
}

// mayBeSpared tells whether a process may be kept from being chosen when memory runs out
// here (CAP_SYS_RESOURCE, proc_pid_oom_score_adj(5)).
func mayBeSpared(t *testing.T) bool {
	t.Helper()
	const file = "/proc/self/oom_score_adj"
	was, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if os.WriteFile(file, []byte("-1000"), 0) != nil {
		return false
	}
	if err := os.WriteFile(file, was, 0); err != nil {
		t.Fatal(err)
	}
	return true
}

// With the capabilities of the unit the daemon can do all that it can with
// those of root, and reaches the transfers of other users. Priority over other
// processes it has of systemd, and goes on without it here.
func TestUnitsCapabilitiesSuffice(t *testing.T) {
	free := setStage(t, lab.Options{}, webConfig)
	want := free.available()
	if len(want) < 5 {
		t.Fatalf("with all capabilities only %v", want)
	}
	free.hurried(daemon.Nice)
	odd := !mayBeSpared(t)
	free.daemon.Stop()
	s := buildStage(t, lab.Options{})
	s.launch(webConfig, "setpriv", "--bounding-set", boundingSet(t), "--inh-caps", "-all", "--no-new-privs")
	if got := s.available(); !slices.Equal(got, want) {
		t.Errorf("available %v, with all capabilities %v\n%s", got, want, s.status())
	}
	s.hurried(0)
	if log := s.daemon.Log(); strings.Count(log, "no priority over other processes") != 1 {
		t.Errorf("that it has no priority is to be told once:\n%s", log)
	}
	id := s.strangersTransfer()
	if _, err := s.client().Pin(t.Context(), id, web.PinRequest{Pause: true}); err != nil {
		t.Fatal(err)
	}
	s.until("another user's transfer is paused", func() bool {
		return slices.ContainsFunc(s.ours(), func(x web.Transfer) bool { return x.ID == id && x.HeldByUs })
	})
	if log := s.daemon.Log(); !odd && strings.Contains(log, "oom_score_adj") {
		t.Errorf("the guard can be chosen when memory runs out:\n%s", log)
	}
}

// strangersTransfer starts a transfer whose receiver belongs to nobody.
func (s *stage) strangersTransfer() watchdog.TransferID {
	s.Helper()
	const nobody = 65534
	dir, err := os.MkdirTemp("", "stranger-") // the lab's own is closed to others
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	conf := filepath.Join(dir, "rsyncd.conf")
	text := fmt.Sprintf("port = 8730\nuse chroot = no\nlog file = /dev/null\n[m]\npath = %s\nread only = no\n", dir)
	for _, err := range []error{
		os.WriteFile(conf, []byte(text), 0o644), os.WriteFile(filepath.Join(dir, "large"), make([]byte, 64<<20), 0o644),
		os.Chmod(dir, 0o755), os.Chown(dir, nobody, nobody),
	} {
		if err != nil {
			s.Fatal(err)
		}
	}
	for _, argv := range [][]string{
		{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "rsync", "--daemon", "--no-detach", "--config=" + conf},
		{"sh", "-c", `until rsync --whole-file --bwlimit=1000 "$1/large" rsync://127.0.0.1:8730/m/copy; do sleep 0.1; done`, "sh", dir},
	} {
		cmd := s.lab.Srv.Command(s.Context(), argv[0], argv[1:]...)
		if err := cmd.Start(); err != nil {
			s.Fatal(err)
		}
		s.Cleanup(func() {
			_ = cmd.Cancel() // it may have ended by itself
			_ = cmd.Wait()   // killed
		})
	}
	var id watchdog.TransferID
	s.until("the transfer is seen", func() bool {
		for _, x := range s.ours() {
			if x.Via == watchdog.ViaDaemon && x.Control == watchdog.ControlFull {
				id = x.ID
			}
		}
		return id != ""
	})
	return id
}
