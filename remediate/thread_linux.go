package remediate

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// onOwnThread runs f on a thread that ends with it: what f changes of its thread
// stays with it and with the processes that it starts.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: no other goroutine gets the thread
		done <- f()
	}()
	return <-done
}

// startUnhurried starts cmd without the priority over other processes that the
// daemon has and that a child inherits of the thread which starts it (nice(2)). That
// thread ends: cmd must not ask for a signal when it does (Pdeathsig).
func startUnhurried(cmd *exec.Cmd) error {
	return onOwnThread(func() error {
		// Where it is denied, we have less than usual, and nothing is to be taken away.
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0)
		return cmd.Start()
	})
}

// runUnhurried runs cmd so to its end. What it said is in the error.
func runUnhurried(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := startUnhurried(cmd); err != nil {
		return err
	}
	err := cmd.Wait()
	if err != nil && said.Len() > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return err
}
