package undo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog/files"
)

// lockFile is in the run directory, beside the ledger.
const lockFile = "lock"

// ErrLocked says that another Lifeline holds the run directory.
var ErrLocked = errors.New("another lifeline is at work here")

// Lock is the right to act and to write the ledger. The kernel gives it back
// when its holder dies, however it dies.
type Lock struct{ f *os.File }

// Acquire takes the lock of a run directory, waiting for it until ctx ends: a
// guard that cleans up holds it for a moment. The error is ErrLocked when
// somebody else kept it.
func Acquire(ctx context.Context, dir string) (*Lock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("run directory: %w", err)
	}
	path := filepath.Join(dir, lockFile)
	const flags = unix.O_NOFOLLOW | unix.O_NONBLOCK
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|flags, 0o600)
	if errors.Is(err, unix.EROFS) {
		var again error // flock(2) needs no right to write
		if f, again = os.OpenFile(path, os.O_RDONLY|flags, 0); again == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := trustLock(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return &Lock{f}, nil
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, ErrLocked)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// trustLock refuses what another user put there, who could hold it for ever.
func trustLock(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return files.Trust(f.Name(), st)
}

// Release gives the lock back.
func (l *Lock) Release() error { return l.f.Close() }
