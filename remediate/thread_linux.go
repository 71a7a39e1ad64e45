package remediate

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"
	"sync"
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

// processors is how many the runtime has, and how many children are being started.
var processors struct {
	sync.Mutex
	own, starting int
}

// StartChild starts cmd with a processor more meanwhile: the thread that starts a
// child keeps its own while the kernel loads the child's program (vfork(2)), which
// may take long from a busy disk. Were it the only one, all would stand still.
func StartChild(cmd *exec.Cmd) error {
	starting(1)
	defer starting(-1)
	return cmd.Start()
}

func starting(more int) {
	p := &processors
	p.Lock()
	defer p.Unlock()
	if p.starting == 0 {
		p.own = runtime.GOMAXPROCS(0)
	}
	p.starting += more
	runtime.GOMAXPROCS(p.own + p.starting)
}

// startUnhurried starts cmd without the priority over other processes and the
// short slices that the daemon has and a child inherits of the thread which starts it. That
// thread ends: cmd must not ask for a signal when it does (Pdeathsig).
func startUnhurried(cmd *exec.Cmd) error {
	return onOwnThread(func() error {
		beOrdinary()
		return StartChild(cmd)
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
