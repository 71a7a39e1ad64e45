package remediate

import (
	"errors"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
)

// linuxKernel is the running system.
type linuxKernel struct {
	*process.Stopper
	search sockopt.HolderSearch
}

func newKernel(h *process.Handles) *linuxKernel { return &linuxKernel{Stopper: process.NewStopper(h)} }

func (k *linuxKernel) change(s watchdog.Socket, decide func(sockopt.State) (sockopt.Change, error)) error {
	return sockopt.Visit(k.Handles, s, func(fd int) error {
		c, err := sockopt.Inspect(fd)
		if err != nil {
			return err
		}
		set, err := decide(c)
		return errors.Join(err, set.Apply(fd))
	})
}

func (k *linuxKernel) findHolders(s watchdog.Socket) ([]watchdog.FDRef, error) {
	return k.search.Find(s)
}
