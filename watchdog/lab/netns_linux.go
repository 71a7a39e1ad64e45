package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const netnsDir = "/run/netns" // where ip-netns(8) keeps names

// inNetns runs f on a thread that is in the network namespace ns, and gives
// the thread back as it was. A thread that cannot be restored is never reused.
func inNetns(ns netns.NsHandle, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		restored, err := visit(ns, f)
		if restored {
			runtime.UnlockOSThread()
		}
		done <- err
	}()
	return <-done
}

// visit runs f in ns on the calling thread, which the caller has locked, and
// reports whether the thread is back where it was.
func visit(ns netns.NsHandle, f func() error) (restored bool, err error) {
	home, err := netns.Get()
	if err != nil {
		return true, fmt.Errorf("lab: own namespace: %w", err)
	}
	defer home.Close()
	if err := netns.Set(ns); err != nil {
		return true, fmt.Errorf("lab: enter namespace: %w", err)
	}
	defer func() {
		back := netns.Set(home)
		restored = back == nil
		err = errors.Join(err, back)
	}()
	return false, f()
}

// newNetns makes a network namespace, binds it to its name under /run/netns
// and returns a handle to it.
func newNetns(name string) (ns netns.NsHandle, err error) {
	home, err := netns.Get()
	if err != nil {
		return netns.None(), fmt.Errorf("lab: own namespace: %w", err)
	}
	defer home.Close()
	err = inNetns(home, func() error { // inNetns restores what NewNamed changes
		ns, err = netns.NewNamed(name)
		return err
	})
	if err != nil {
		return netns.None(), errors.Join(fmt.Errorf("lab: namespace %s: %w", name, err), removeNetns(name))
	}
	return ns, nil
}

// removeNetns takes a namespace's name away; that it is gone is success.
func removeNetns(name string) error {
	path := filepath.Join(netnsDir, name)
	// EINVAL: not a mount point, as when its maker died between file and mount.
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("lab: unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("lab: %w", err)
	}
	return nil
}

// lockNetnsDir takes the lock that `ip netns add` takes too. It serialises
// what labs change on the host as a whole.
func lockNetnsDir() (unlock func(), err error) {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	dir, err := os.Open(netnsDir)
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	for {
		err = unix.Flock(int(dir.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		dir.Close()
		return nil, fmt.Errorf("lab: lock %s: %w", netnsDir, err)
	}
	return func() { dir.Close() }, nil
}

// shareNetnsDir makes /run/netns a shared mount as `ip netns add` does. Were it
// left to a later `ip netns add`, that would bind the directory over itself,
// and names mounted before could then no longer be unmounted.
func shareNetnsDir() error {
	unlock, err := lockNetnsDir()
	if err != nil {
		return err
	}
	defer unlock()
	const flags = unix.MS_SHARED | unix.MS_REC
	err = unix.Mount("", netnsDir, "none", flags, "")
	if err == unix.EINVAL { // not a mount point yet
		if err = unix.Mount(netnsDir, netnsDir, "none", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", netnsDir, "none", flags, "")
		}
	}
	if err != nil {
		return fmt.Errorf("lab: share %s: %w", netnsDir, err)
	}
	return nil
}
