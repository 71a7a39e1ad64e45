package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sweep removes what labs have left whose owner is dead: their processes,
// namespaces and directories. It leaves the labs of living processes alone.
func Sweep() error {
	left, err := leftovers(append(dataParents(), netnsDir))
	if err != nil {
		return err
	}
	var errs []error
	for id, paths := range left {
		errs = append(errs, sweepOne(id, paths))
	}
	return errors.Join(errs...)
}

// leftovers finds the names of dead owners' labs in the directories.
func leftovers(dirs []string) (map[identity][]string, error) {
	left := map[identity][]string{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("lab: sweep: %w", err)
		}
		for _, e := range entries {
			id, _, ok := parseIdentity(e.Name())
			if !ok || !ownedByUs(e) {
				continue
			}
			alive, err := id.alive()
			if err != nil {
				return nil, err
			}
			if !alive {
				left[id] = append(left[id], filepath.Join(dir, e.Name()))
			}
		}
	}
	return left, nil
}

// ownedByUs keeps Sweep from names that another user has put into a directory
// that everybody may write to.
func ownedByUs(e os.DirEntry) bool {
	info, err := e.Info()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(st.Uid) == os.Geteuid()
}

func (o owner) alive() (bool, error) {
	start, ok, err := startTime(o.pid)
	return ok && start == o.start, err
}

func sweepOne(id identity, paths []string) error {
	inodes := map[uint64]bool{}
	for _, path := range paths {
		var fs unix.Statfs_t
		var st unix.Stat_t
		// Only a mounted namespace has an inode that tells processes.
		if unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC && unix.Stat(path, &st) == nil {
			inodes[st.Ino] = true
		}
	}
	if err := killAll(inAny(inodes, id.String())); err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		if filepath.Dir(path) == netnsDir {
			errs = append(errs, removeNetns(filepath.Base(path)))
		} else {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}
