package guard

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"lifeline/remediate/confinement"
	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
	"lifeline/watchdog"
)

const (
	busTimeout   = time.Second            // for systemd to answer
	scopeTimeout = 500 * time.Millisecond // for the guard to be in its scope
)

// Outlives says whether a guard can survive what ends the daemon. In a
// container without a service manager the engine kills both, and a process
// that was stopped or a queue on the host's link would stay for ever: unguarded is
// then the reason against pausing and shaping. Place, which may be nil, moves
// a guard out of the daemon's control group.
func Outlives() (place func(pid int) error, unguarded error) {
	kind := confinement.Container()
	switch {
	case systemdRuns() && (kind == "" || busAnswers()):
		return placeInScope, nil
	case kind != "":
		return nil, fmt.Errorf("in a container (%s) without a guard outside of it: only limits that end with their connections", kind)
	}
	return nil, nil // a session of its own is enough: nobody kills by control group
}

// busAnswers says whether systemd could be asked to take the guard. An image
// seldom has the tool for it, or the socket.
func busAnswers() bool {
	_, tool := exec.LookPath("busctl")
	_, bus := os.Stat("/run/dbus/system_bus_socket")
	return tool == nil && bus == nil
}

// Capability is Outlives as start-up reports it.
func Capability(unguarded error) watchdog.Capability {
	return remedy.Capability(remedy.Guard, unguarded)
}

// systemdRuns is sd_booted(3), and that it is the manager of this pid
// namespace and not of one whose /run is mounted here.
func systemdRuns() bool {
	st, err := os.Stat("/run/systemd/system")
	if err != nil || !st.IsDir() {
		return false
	}
	comm, err := os.ReadFile("/proc/1/comm")
	return err == nil && strings.TrimSpace(string(comm)) == "systemd"
}

// placeInScope asks systemd for a scope of its own for the guard: stopping a
// service kills everything in the service's control group.
func placeInScope(pid int) error {
	scope := "lifeline-guard-" + strconv.Itoa(pid) + ".scope"
	ctx, cancel := context.WithTimeout(context.Background(), busTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "busctl", scopeArgs(scope, pid)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if err := process.RunAtDefaultPriority(cmd); err != nil {
		return fmt.Errorf("systemd scope %s: %w", scope, err)
	}
	for end := time.Now().Add(scopeTimeout); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
		if err != nil {
			return fmt.Errorf("systemd scope %s: %w", scope, err)
		}
		if strings.Contains(string(b), scope) {
			return nil
		}
	}
	return fmt.Errorf("systemd scope %s: %w", scope, errors.New("the guard did not get into it"))
}

// scopeArgs calls StartTransientUnit (org.freedesktop.systemd1(5)).
func scopeArgs(scope string, pid int) []string {
	return []string{"call", "--system", "--quiet",
		"org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
		"StartTransientUnit", "ssa(sv)a(sa(sv))", scope, "fail", "3",
		"Description", "s", "Lifeline: undoes all limits when the daemon dies",
		"PIDs", "au", "1", strconv.Itoa(pid),
		"CollectMode", "s", "inactive-or-failed",
		"0"}
}
