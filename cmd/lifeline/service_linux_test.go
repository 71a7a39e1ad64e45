package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/cmd/lifeline/daemon"
)

// boot starts a systemd as the first process of namespaces of its own, with the
// units of $UNITS and nothing else of this host's, in the control group $CGROUP.
// /usr/local/sbin holds the daemon: /tmp is hidden from it (PrivateTmp).
const boot = `
set -eu
mkdir "$CGROUP"
echo $$ >"$CGROUP/cgroup.procs"
exec unshare --pid --fork --kill-child --mount --net --uts --ipc --cgroup --propagation private sh -c '
	set -eu
	mount -t proc proc /proc
	for d in /run /var/lib /usr/local/sbin; do mount -t tmpfs tmpfs $d; done
	mkdir -p /run/dbus
	if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
		mount -t cgroup2 cgroup2 /sys/fs/cgroup
	else
		mount -t tmpfs tmpfs /sys/fs/cgroup
		mkdir /sys/fs/cgroup/systemd
		mount -t cgroup -o none,name=systemd,xattr cgroup /sys/fs/cgroup/systemd
	fi
	cp "$BINARY" /usr/local/sbin/lifeline
	ip link set lo up
	export container=lifeline-test SYSTEMD_UNIT_PATH="$UNITS"
	exec "$SYSTEMD" --system --unit=test.target --show-status=no'
`

// machine is a booted systemd.
type machine struct {
	*testing.T
	pid int // of its first process, as we see it
	out bytes.Buffer
}

// tools finds what a machine needs.
func tools(t *testing.T) (systemd string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: boots systemd in namespaces of its own")
	}
	for _, tool := range []string{"unshare", "nsenter", "systemctl", "busctl", "dbus-daemon"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian: systemd, dbus, util-linux)", tool)
		}
	}
	for _, path := range []string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd"} {
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Skip("systemd is not installed")
	return ""
}

// writeUnits lays out our unit and what it takes to start it alone.
func writeUnits(t *testing.T, dir string) {
	t.Helper()
	unit, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(unit), "/usr/bin/lifeline", "/usr/local/sbin/lifeline")
	files := map[string]string{
		"lifeline.service": text,
		"lifeline.service.d/test.conf": "[Unit]\nDefaultDependencies=no\n" +
			"[Service]\nWatchdogSec=5s\nStandardOutput=truncate:/run/lifeline.log\nStandardError=truncate:/run/lifeline.log\n",
		"test.target": "[Unit]\nDefaultDependencies=no\nWants=dbus.socket lifeline.service\n",
		"dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
		"dbus.service": "[Unit]\nDefaultDependencies=no\n[Service]\nType=notify\n" +
			"ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only\n",
		"system.slice": "[Slice]\n",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// bootMachine boots until the service is active.
func bootMachine(t *testing.T) *machine {
	t.Helper()
	systemd, dir := tools(t), t.TempDir()
	writeUnits(t, dir)
	cgroup := fmt.Sprintf("/sys/fs/cgroup/lifeline-test-%d", os.Getpid())
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil {
		cgroup = fmt.Sprintf("/sys/fs/cgroup/systemd/lifeline-test-%d", os.Getpid())
	}
	m := &machine{T: t}
	cmd := exec.Command("sh", "-c", boot)
	cmd.Env = append(os.Environ(), "UNITS="+dir, "CGROUP="+cgroup, "SYSTEMD="+systemd, "BINARY="+binary)
	cmd.Stdout, cmd.Stderr = &m.out, &m.out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL}
	started, ended := make(chan error, 1), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // Pdeathsig comes when the thread ends, and those of labs do
		err := cmd.Start()
		started <- err
		if err == nil {
			ended <- cmd.Wait()
		}
		runtime.UnlockOSThread()
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // and with it all of its processes, by --kill-child
		<-ended
		removeCgroup(t, cgroup)
	})
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		select {
		case err := <-ended:
			ended <- err
			t.Skipf("systemd does not boot in a container here: %v: %s", err, m.out.String())
		default:
		}
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", cmd.Process.Pid)) // empty so far
		if n, _ := fmt.Sscan(string(b), &m.pid); n == 1 && m.show("ActiveState") == "active" {
			return m
		}
	}
	t.Fatalf("the service is %q: %s\n%s", m.show("ActiveState"), m.out.String(), m.run("cat", "/run/lifeline.log"))
	return nil
}

// removeCgroup removes a control group whose processes are about to be gone.
func removeCgroup(t *testing.T, dir string) {
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, _ error) error {
			if d != nil && d.IsDir() {
				_ = unix.Rmdir(path) // the deeper ones first, in later rounds
			}
			return nil
		})
		if _, err = os.Stat(dir); err != nil {
			return
		}
	}
	t.Errorf("control group %s is left", dir)
}

// run runs a command in the machine and gives what it wrote.
func (m *machine) run(argv ...string) string {
	cmd := exec.Command("nsenter", append([]string{"-t", fmt.Sprint(m.pid), "-m", "-p", "-n", "-C", "--"}, argv...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Sprintf("%s(%v: %v)", out, argv, err)
	}
	return strings.TrimSpace(string(out))
}

// show gives a property of the service.
func (m *machine) show(property string) string {
	return m.run("systemctl", "show", "lifeline", "--value", "-p", property)
}

// successor tells whether the service is active with another main process.
func (m *machine) successor(pid string) bool {
	now := m.show("MainPID")
	return now != pid && now != "0" && m.show("ActiveState") == "active"
}

func (m *machine) until(what string, cond func() bool) {
	m.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if cond() {
			return
		}
	}
	m.Fatalf("not within %s: %s\n%s\n%s", patience, what, m.run("systemctl", "status", "lifeline"),
		m.run("lifeline", "status")+"\n"+m.run("cat", "/run/lifeline.log"))
}

// guards lists the scopes of guards.
func (m *machine) guards() string {
	return m.run("systemctl", "list-units", "--no-legend", "--plain", "lifeline-guard-*.scope")
}

// A real systemd starts the unit as we ship it, sandboxed; the guard is beyond
// its reach, and a daemon that dies or hangs is there again.
func TestServiceUnderSystemd(t *testing.T) {
	t.Parallel() // it mostly waits
	m := bootMachine(t)
	m.until("the status line is told", func() bool { return strings.HasPrefix(m.show("StatusText"), "management ") })
	m.until("every mechanism works in the unit", func() bool {
		status := strings.Join(strings.Fields(m.run("lifeline", "status")), " ")
		for _, name := range []string{"window", "pacing", "priority", "pause", "shaper-egress", "shaper-ingress", "small-bursts", "guard"} {
			if !strings.Contains(status, " "+name+" yes") {
				return false
			}
		}
		return true
	})
	m.until("all threads come before others", func() bool {
		lines := m.run("sh", "-c", "cat /proc/"+m.show("MainPID")+"/task/*/stat")
		return slices.Equal(niceValues(t, lines), []int{daemon.Nice})
	})
	m.until("the guard has a scope of its own", func() bool { return strings.Contains(m.guards(), "running") })

	guard, pid := m.guards(), m.show("MainPID")
	m.run("systemctl", "kill", "--signal=KILL", "--kill-whom=all", "lifeline")
	m.until("it is there again after kill -9", func() bool { return m.successor(pid) })
	m.until("with another guard", func() bool { g := m.guards(); return strings.Contains(g, "running") && g != guard })

	pid = m.show("MainPID")
	m.run("kill", "-STOP", pid)
	m.until("it is there again after it hung", func() bool { return m.successor(pid) })
	if log := m.run("cat", "/run/lifeline.log"); !strings.Contains(log, "msg=starting") {
		t.Errorf("its log:\n%s", log)
	}

	m.run("systemctl", "stop", "lifeline")
	if state, result := m.show("ActiveState"), m.show("Result"); state != "inactive" || result != "success" {
		t.Errorf("after stop: %s, %s\n%s", state, result, m.run("cat", "/run/lifeline.log"))
	}
	m.until("no guard is left", func() bool { return m.guards() == "" })
	if got := m.run("ls", "/run/lifeline"); !strings.Contains(got, "ledger") {
		t.Errorf("the ledger is gone: %s", got)
	}
}
