package process

import (
	"bytes"
	"fmt"
	"os/exec"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// OnOwnThread runs f on a thread that ends with it: what f changes of its thread
// stays with it and with the processes that it starts.
func OnOwnThread(f func() error) error {
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

// StartChild starts cmd with a processor of the runtime's more meanwhile. The daemon runs on
// one (GOMAXPROCS), which costs an idle host least. But the thread that starts a child keeps its
// processor until the kernel has loaded the child's program (the runtime makes vfork(2)
// without giving it back), and that may take long from a busy disk: with no other
// processor the control loop and its heartbeat would stand still so long, and the guard
// would end a healthy daemon. TestStartOfAChildHoldsNobodyUp holds the loading of a
// program, and stands still for good without this.
func StartChild(cmd *exec.Cmd) error {
	addProcessor(1)
	defer addProcessor(-1)
	return cmd.Start()
}

func addProcessor(more int) {
	p := &processors
	p.Lock()
	defer p.Unlock()
	if p.starting == 0 {
		p.own = runtime.GOMAXPROCS(0)
	}
	p.starting += more
	runtime.GOMAXPROCS(p.own + p.starting)
}

// StartAtDefaultPriority starts cmd without the priority over other processes and the
// short slices that the daemon has and a child inherits of the thread which starts it. That
// thread ends: cmd must not ask for a signal when it does (Pdeathsig).
func StartAtDefaultPriority(cmd *exec.Cmd) error {
	return OnOwnThread(func() error {
		setDefaultPriority()
		return StartChild(cmd)
	})
}

// RunAtDefaultPriority runs cmd so to its end. What it said is in the error.
func RunAtDefaultPriority(cmd *exec.Cmd) error {
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := StartAtDefaultPriority(cmd); err != nil {
		return err
	}
	err := cmd.Wait()
	if err != nil && said.Len() > 0 {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return err
}

// InNewNetns runs f in a network namespace of its own, which ends with the thread
// and with the sockets that f made.
func InNewNetns(f func() error) error {
	return OnOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("network namespace to try it in: %w", err)
		}
		return f()
	})
}

// AtDefaultPriority runs f on a thread of its own without the daemon's priority over other
// processes. It has a processor of the runtime's more meanwhile, for on a busy host the
// thread may not be run for long, and would keep the only one from everybody else.
func AtDefaultPriority(f func()) {
	addProcessor(1)
	defer addProcessor(-1)
	_ = OnOwnThread(func() error {
		setDefaultPriority()
		f()
		return nil
	})
}

// setDefaultPriority takes from the calling thread what the daemon has before others. Where
// that is denied, it has less than usual, and nothing is to be taken away.
func setDefaultPriority() {
	_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 0)
	if now, err := unix.SchedGetAttr(0, 0); err == nil && now.Policy == unix.SCHED_NORMAL {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr}, 0) // slices as everybody has them
	}
}
