package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog/lab"
)

// holdOpens makes whoever opens one of the files wait until the test ends, as for
// a mount whose server is gone (fanotify(7)).
func holdOpens(t *testing.T, paths ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: holds opens (fanotify)")
	}
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY)
	if err != nil {
		t.Skipf("no permission events: %v", err)
	}
	t.Cleanup(func() { unix.Close(fd) }) // lets all of them go on
	for _, p := range paths {
		if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_PERM, unix.AT_FDCWD, p); err != nil {
			t.Skipf("no permission events: %v", err)
		}
	}
}

// held gives files that cannot be opened, by their names.
func held(t *testing.T, names ...string) (paths []string) {
	t.Helper()
	dir := t.TempDir()
	for _, n := range names {
		p := filepath.Join(dir, n)
		if err := os.WriteFile(p, []byte("text\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, p)
	}
	holdOpens(t, paths...)
	return paths
}

// Secrets and a template that do not let themselves be opened keep nothing from
// being limited, no other receiver from being told, and the daemon from ending.
func TestHeldFilesHoldNothingUp(t *testing.T) {
	t.Parallel()
	paths := held(t, "template", "token", "url", "ca")
	s := buildStage(t, lab.Options{})
	c := collect(t, s.lab, s.lab.Mgmt)
	s.launch(toReceiver + fmt.Sprintf(`
[[receiver]]
name = "templated"
type = "template"
url = "http://10.77.0.3:1/"
template_file = %q
[[receiver]]
name = "secret"
type = "json"
url_file = %q
bearer_file = %q
ca_file = %q
`, paths[0], paths[2], paths[1], paths[3]))
	s.start(lab.Transfers{N: 4, Dir: lab.Push})
	s.until("all transfers are limited", func() bool { return len(s.ours()) >= 4 && s.held(s.ours()) != "" })
	out, err := s.lab.Srv.Command(t.Context(), binary, "alerts", "test", "ops", "--socket", filepath.Join(s.daemon.Dir, "run", "control.sock")).CombinedOutput()
	if err != nil || len(c.got()) == 0 {
		t.Errorf("the receiver without a file: %v\n%s", err, out)
	}
	s.until("the log names them", func() bool {
		return strings.Contains(s.daemon.Log(), "receiver=templated key=template_file") && strings.Contains(s.daemon.Log(), "receiver=secret key=url_file")
	})
	all := s.ours()
	s.daemon.Stop()
	if why := s.held(all); why != "" || !strings.Contains(s.daemon.Log(), "msg=ended") {
		t.Errorf("SIGTERM did not end it in order; %s", why)
	}
}

// A configuration that does not let itself be opened is an error in good time,
// after which a service manager tries again.
func TestHeldConfiguration(t *testing.T) {
	t.Parallel()
	paths := held(t, "lifeline.toml")
	for _, args := range [][]string{{"run", "--config"}, {"check-config"}, {"release", "--config"}} {
		cmd := exec.Command("unshare", append([]string{"--net", binary}, append(args, paths[0])...)...)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			out, err := cmd.CombinedOutput()
			if err == nil || cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(out), "does not answer") {
				t.Errorf("%s: %v\n%s", args[0], err, out)
			}
		}()
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Errorf("%s: hangs", args[0])
		}
	}
}
