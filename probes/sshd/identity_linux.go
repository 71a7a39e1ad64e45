package sshd

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Read tells who a process is, from a /proc tree below root ("/proc"). ErrGone is
// one that has ended; another error is one whose owner may not be known.
//
// The owner is read after the executable: a process of root that gives up its rights
// and then executes something else must not be seen with the rights of before.
func Read(root string, pid int) (Identity, error) {
	// The directory means this process and no later one with its pid.
	dir, err := unix.Open(root+"/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return Identity{}, wrap(pid, "look at it", err)
	}
	defer unix.Close(dir)
	id := Identity{PID: pid}
	id.Exe, id.Err = executable(dir)
	if gone(id.Err) {
		id.Err = nil // a kernel thread, or a process that is ending
	}
	text, err := status(dir)
	if err != nil {
		return Identity{}, wrap(pid, "status", err)
	}
	if err := id.parse(text); err != nil {
		return Identity{}, fmt.Errorf("pid %d: status: %w", pid, err)
	}
	return id, nil
}

func wrap(pid int, what string, err error) error {
	if gone(err) {
		return fmt.Errorf("pid %d: %w", pid, ErrGone)
	}
	return fmt.Errorf("pid %d: %s: %w", pid, what, err)
}

func gone(err error) bool { return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) }

// executable looks at what the link leads to, also where its file was replaced by
// an upgrade or lies in another mount namespace.
func executable(dir int) (File, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(dir, "exe", buf[:])
	if err != nil {
		return File{}, &fs.PathError{Op: "readlink", Path: "exe", Err: err}
	}
	path := strings.TrimSuffix(string(buf[:n]), " (deleted)")
	var st unix.Stat_t
	if err := unix.Fstatat(dir, "exe", &st, 0); err != nil {
		return File{}, &fs.PathError{Op: "stat", Path: "exe", Err: err}
	}
	return File{
		Name: path[strings.LastIndexByte(path, '/')+1:], Dev: st.Dev, Inode: st.Ino,
		Guarded: st.Uid == 0 && st.Mode&(unix.S_IWGRP|unix.S_IWOTH) == 0,
	}, nil
}

func status(dir int) ([]byte, error) {
	fd, err := unix.Openat(dir, "status", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var buf [4096]byte // the lines that are used stand among the first ten
	n, err := unix.Read(fd, buf[:])
	return buf[:max(n, 0)], err
}

var errFormat = errors.New("unexpected format")

// parse reads parent and owner out of /proc/PID/status (proc_pid_status(5)). The
// kernel escapes newlines in the name, which comes first.
func (i *Identity) parse(text []byte) error {
	found := 0
	for line := range bytes.Lines(text) {
		key, value, _ := strings.Cut(string(line), ":")
		f := strings.Fields(value)
		var err error
		switch {
		case key == "PPid" && len(f) == 1:
			i.Parent, err = strconv.Atoi(f[0])
			found++
		case key == "Uid" && len(f) == 4:
			for n := range i.UIDs {
				var uid uint64
				if uid, err = strconv.ParseUint(f[n], 10, 32); err != nil {
					break
				}
				i.UIDs[n] = uint32(uid)
			}
			found++
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errFormat, err)
		}
	}
	if found != 2 {
		return errFormat
	}
	return nil
}
