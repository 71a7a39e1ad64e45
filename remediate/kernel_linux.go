package remediate

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// linuxKernel is the running system.
type linuxKernel struct {
	handles   *Handles
	ancestors []int
	vetted    map[watchdog.ProcID]bool // may be stopped
	seeker    seeker
}

func newKernel(h *Handles) *linuxKernel {
	return &linuxKernel{handles: h, ancestors: ancestors(), vetted: map[watchdog.ProcID]bool{}}
}

func (k *linuxKernel) tune(s watchdog.Socket, decide func(connection) (tuning, error)) error {
	return k.handles.Visit(s, func(fd int) error {
		c, err := inspect(fd)
		if err != nil {
			return err
		}
		set, err := decide(c)
		return errors.Join(err, set.apply(fd))
	})
}

// apply sets the options; one that fails does not keep the other from being set.
func (t tuning) apply(fd int) error {
	var errs []error
	if t.window != 0 {
		errs = append(errs, setWindow(fd, t.window))
	}
	if t.pacing != 0 {
		errs = append(errs, setPacing(fd, t.pacing))
	}
	if t.buffer != 0 {
		errs = append(errs, setBuffer(fd, t.buffer))
	}
	if t.unbuffer != 0 {
		errs = append(errs, freeBuffer(fd, t.unbuffer))
	}
	if t.autotune != keepAutotune {
		errs = append(errs, setAutotune(fd, t.autotune == freeAutotune))
	}
	return errors.Join(errs...)
}

func (k *linuxKernel) trace(s watchdog.Socket) ([]watchdog.FDRef, error) { return k.seeker.trace(s) }

func (k *linuxKernel) stop(p watchdog.ProcID) error {
	if !k.vetted[p] {
		if err := k.vet(p); err != nil {
			return err
		}
		k.vetted[p] = true
	}
	return k.handles.signal(p, unix.SIGSTOP)
}

// vet refuses the processes that must never stand still, whatever a sample
// says: ourselves and what started us, sshd, and whoever accepts connections.
func (k *linuxKernel) vet(p watchdog.ProcID) error {
	if slices.Contains(k.ancestors, p.PID) {
		return fmt.Errorf("process %s: not stopped: Lifeline runs below it", p)
	}
	if strings.HasPrefix(exeName(p.PID), "sshd") {
		return fmt.Errorf("process %s: not stopped: it is sshd", p)
	}
	listening, err := k.handles.listens(p)
	if err == nil && listening {
		err = fmt.Errorf("process %s: not stopped: it accepts connections", p)
	}
	return err
}

func (k *linuxKernel) cont(p watchdog.ProcID) error { return k.handles.signal(p, unix.SIGCONT) }

func (k *linuxKernel) isStopped(p watchdog.ProcID) (bool, error) {
	st, err := statOf(p)
	return st.stopped(), err
}

func (k *linuxKernel) children(p watchdog.ProcID) []watchdog.ProcID {
	kids := childrenOf(p)
	if len(kids) == 0 {
		return nil
	}
	exe := exeName(p.PID)
	return slices.DeleteFunc(kids, func(c watchdog.ProcID) bool { return exe == "" || exeName(c.PID) != exe })
}

func (k *linuxKernel) keep(want func(watchdog.ProcID) bool) {
	k.handles.Keep(want)
	for p := range k.vetted {
		if !want(p) {
			delete(k.vetted, p)
		}
	}
}
