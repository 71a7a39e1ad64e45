package proc

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"
)

// ErrGone says that a process or its descriptor is not what it was.
var ErrGone = errors.New("gone")

// ErrPIDReused says that the pid belongs to another process by now.
var ErrPIDReused = errors.New("process changed while it was read")

// Vanished says that a process ended while it was looked at.
func Vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) || errors.Is(err, ErrPIDReused)
}
