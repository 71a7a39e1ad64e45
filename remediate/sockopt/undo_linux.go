package sockopt

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"lifeline/watchdog/ledger"
)

var ErrFull = errors.New("the receiver is full, and its window cannot be lifted now")

// Undo undoes one entry on its socket.
func Undo(fd int, e ledger.Entry) error {
	switch e.Kind {
	case ledger.Window:
		c, err := Inspect(fd)
		if err != nil {
			return err
		}
		if c.Established && c.Full() && c.WindowClamp != NoWindowClamp {
			return ErrFull
		}
		return SetWindowClamp(fd, NoWindowClamp)
	case ledger.Pacing:
		return SetPacing(fd, NoPacing)
	case ledger.Buffer:
		return RestoreReceiveBuffer(fd, int64(e.Was))
	case ledger.Autotune:
		return SetAutotuning(fd, true)
	default:
		return RestorePriority(fd, e)
	}
}

// RestorePriority gives the application's value back, unless the application
// has set another one since.
func RestorePriority(fd int, e ledger.Entry) error {
	now, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY)
	if err != nil {
		return fmt.Errorf("get SO_PRIORITY: %w", err)
	}
	if now != e.Set {
		return nil
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, e.Was); err != nil {
		return fmt.Errorf("set SO_PRIORITY: %w", err)
	}
	return nil
}

func Priority(fd int) (int, error) {
	v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY)
	if err != nil {
		return 0, fmt.Errorf("get SO_PRIORITY: %w", err)
	}
	return v, nil
}

func SetPriority(fd, v int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, v); err != nil {
		return fmt.Errorf("set SO_PRIORITY to %#x: %w", v, err)
	}
	return nil
}
