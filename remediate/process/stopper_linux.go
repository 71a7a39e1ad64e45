package process

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// Stopper stops processes and lets them run again.
type Stopper struct {
	Handles   *Handles
	ancestors []int
	vetted    map[watchdog.ProcID]bool // may be stopped
}

func NewStopper(h *Handles) *Stopper {
	return &Stopper{Handles: h, ancestors: ancestors(), vetted: map[watchdog.ProcID]bool{}}
}

func (k *Stopper) Stop(p watchdog.ProcID) error {
	if !k.vetted[p] {
		if err := k.vet(p); err != nil {
			return err
		}
		k.vetted[p] = true
	}
	return k.Handles.Signal(p, unix.SIGSTOP)
}

// vet refuses the processes that must never stand still, whatever a sample
// says: ourselves and what started us, sshd, and whoever accepts connections.
func (k *Stopper) vet(p watchdog.ProcID) error {
	if slices.Contains(k.ancestors, p.PID) {
		return fmt.Errorf("process %s: not stopped: Lifeline runs below it", p)
	}
	if strings.HasPrefix(exeName(p.PID), "sshd") {
		return fmt.Errorf("process %s: not stopped: it is sshd", p)
	}
	listening, err := k.Handles.listens(p)
	if err == nil && listening {
		err = fmt.Errorf("process %s: not stopped: it accepts connections", p)
	}
	return err
}

func (k *Stopper) Continue(p watchdog.ProcID) error { return k.Handles.Signal(p, unix.SIGCONT) }

func (k *Stopper) IsStopped(p watchdog.ProcID) (bool, error) {
	st, err := StatOf(p)
	return st.Stopped(), err
}

func (k *Stopper) Children(p watchdog.ProcID) []watchdog.ProcID {
	kids := childrenOf(p)
	if len(kids) == 0 {
		return nil
	}
	exe := exeName(p.PID)
	return slices.DeleteFunc(kids, func(c watchdog.ProcID) bool { return exe == "" || exeName(c.PID) != exe })
}

func (k *Stopper) Keep(want func(watchdog.ProcID) bool) {
	k.Handles.Keep(want)
	for p := range k.vetted {
		if !want(p) {
			delete(k.vetted, p)
		}
	}
}
