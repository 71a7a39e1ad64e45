package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog/files"
)

const openFlags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// openTrusted opens a regular file that nobody else can write, in a directory
// in which nobody else can put another one: what a store says is believed.
func openTrusted(path string, readOnly bool) (*os.File, error) {
	flags, dir := os.O_RDONLY, filepath.Dir(path)
	if !readOnly {
		flags = os.O_RDWR | os.O_CREATE
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("state directory: %w", err)
		}
		if err := files.TrustDir(dir); err != nil {
			return nil, err
		}
	}
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file (%s): move it away", path, st.Mode().Type())
	}
	f, err := os.OpenFile(path, flags|openFlags, 0o600)
	var at *os.PathError
	if errors.As(err, &at) {
		return nil, fmt.Errorf("%s: %w", path, at.Err)
	}
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && !st.Mode().IsRegular() {
		err = fmt.Errorf("%s: not a regular file (%s): move it away", path, st.Mode().Type())
	}
	if err == nil && !readOnly {
		err = files.Trust(path, st)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// lock takes the lock that bbolt takes too (flock(2)), shared for readers.
func lock(f *os.File, shared bool) error {
	how := unix.LOCK_EX
	if shared {
		how = unix.LOCK_SH
	}
	for end := time.Now().Add(lockWait); ; time.Sleep(lockRetry) {
		err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("lock: %w", err)
		case time.Now().After(end):
			return ErrInUse
		}
	}
}

// stamp is how a file was at a moment: another one means that somebody wrote.
type stamp struct {
	size         int64
	mtime, ctime unix.Timespec
}

func stampOf(f *os.File) (stamp, error) {
	var st unix.Stat_t
	c, err := f.SyscallConn()
	if err != nil {
		return stamp{}, err
	}
	var statErr error
	if err := c.Control(func(fd uintptr) { statErr = unix.Fstat(int(fd), &st) }); err != nil {
		return stamp{}, err
	}
	return stamp{st.Size, st.Mtim, st.Ctim}, statErr
}
