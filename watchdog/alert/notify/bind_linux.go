package notify

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// bindTo makes sockets send over one link only (SO_BINDTODEVICE, socket(7)).
func bindTo(link string) func(network, address string, c syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error {
		var bindErr error
		err := c.Control(func(fd uintptr) { bindErr = unix.BindToDevice(int(fd), link) })
		if err == nil {
			err = bindErr
		}
		if err != nil {
			return fmt.Errorf("link %q: bind a socket to it: %w", link, err)
		}
		return nil
	}
}
