package sockopt

import (
	"errors"
	"time"
)

const (
	// YoungAge is the age until which a transfer's socket is looked at each time.
	YoungAge = 2 * time.Second
	// RecheckEvery is how often options are looked at that nobody but the application
	// changes: pacing and priority.
	RecheckEvery = 2 * time.Second
)

// Change is what to set on a socket.
type Change struct {
	WindowClamp   int64  // bytes; 0 leaves it
	Pacing        uint64 // bytes/s; 0 leaves it
	ShrinkBuffer  int64  // bytes, to make the receive buffer small; 0 leaves it
	RestoreBuffer int64  // bytes that it had before, to give them back; 0 leaves it
	Autotuning    Autotuning
}

// Autotuning is what becomes of the kernel's tuning of a receive buffer.
type Autotuning int

const (
	KeepAutotuning Autotuning = iota
	LockBuffer
	UnlockBuffer
)

// Apply sets the options; one that fails does not keep the other from being set.
func (t Change) Apply(fd int) error {
	var errs []error
	if t.WindowClamp != 0 {
		errs = append(errs, SetWindowClamp(fd, t.WindowClamp))
	}
	if t.Pacing != 0 {
		errs = append(errs, SetPacing(fd, t.Pacing))
	}
	if t.ShrinkBuffer != 0 {
		errs = append(errs, SetReceiveBuffer(fd, t.ShrinkBuffer))
	}
	if t.RestoreBuffer != 0 {
		errs = append(errs, RestoreReceiveBuffer(fd, t.RestoreBuffer))
	}
	if t.Autotuning != KeepAutotuning {
		errs = append(errs, SetAutotuning(fd, t.Autotuning == UnlockBuffer))
	}
	return errors.Join(errs...)
}
