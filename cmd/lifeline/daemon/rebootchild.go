package daemon

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"lifeline/probes/preboot"
	"lifeline/remediate/process"
)

// rebootOOM makes the kernel take the check before the daemon when memory runs
// out (proc_pid_oom_score_adj(5)).
const rebootOOM = "500"

// askReboot lets a process of its own run the check: a rules file is hostile
// input and may be large, and neither its memory nor its time is to be the
// daemon's. The caller's thread must outlive it.
func askReboot(ctx context.Context, stateDir string) (preboot.Report, error) {
	var r preboot.Report
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, self, PrebootCommand, "--json", "--state-dir", stateDir)
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.WaitDelay = time.Second
	// In a group of its own, as the end of the daemon's terminal is no answer.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := process.StartChild(cmd); err != nil {
		return r, fmt.Errorf("start the check: %w", err)
	}
	// Where it is not to be had, it is the kernel's choice.
	_ = os.WriteFile("/proc/"+strconv.Itoa(cmd.Process.Pid)+"/oom_score_adj", []byte(rebootOOM), 0)
	err := cmd.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return r, fmt.Errorf("the check did not end: %w", ctx.Err())
	case errors.As(err, &exit) && exit.Exited() && out.Len() > 0: // unsafe or unknown
	case err != nil:
		return r, fmt.Errorf("the check failed: %w: %s", err, strings.TrimSpace(said.String()))
	}
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		return r, fmt.Errorf("the check's answer: %w", err)
	}
	return r, nil
}
