package proc

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/cmdline"
)

// FS reads a /proc tree below root. It calls the kernel directly: package
// os asks twice as often for what is read here, many times a second.
type FS struct {
	Root string
}

// MaxCmdline bounds what is read of a command line; the options that matter
// stand in front, the file arguments of a client may be megabytes.
const MaxCmdline = 64 << 10

// Path is where a file of a process lies.
func (f FS) Path(pid int, name string) string {
	return f.Root + "/" + strconv.Itoa(pid) + "/" + name
}

// OpenProc opens a file or directory of /proc.
func OpenProc(path string, flags int) (int, error) {
	for {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
		if err == nil {
			return fd, nil
		}
		if err != unix.EINTR {
			return -1, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// ReadFile reads a file of /proc into buf, as much as fits.
func ReadFile(path string, buf []byte) ([]byte, error) { return ReadFileFlags(path, 0, buf) }

// ReadFileFlags does so with more flags of open(2).
func ReadFileFlags(path string, flags int, buf []byte) ([]byte, error) {
	fd, err := OpenProc(path, flags)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n := 0
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if m == 0 {
			break
		}
		n += m
	}
	return buf[:n], nil
}

// Readlink reads a link of /proc.
func Readlink(path string) (string, error) { return Readlinkat(unix.AT_FDCWD, path) }

// Readlinkat reads a link below an open directory.
func Readlinkat(dir int, path string) (string, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(dir, path, buf[:])
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(buf[:n]), nil
}

// Stat reads /proc/PID/stat.
func (f FS) Stat(pid int) (Stat, error) {
	var buf [1024]byte
	b, err := ReadFile(f.Path(pid, "stat"), buf[:])
	if err != nil {
		return Stat{}, err
	}
	return ParseStat(b)
}

// Exe is the base name of what a process executes; "" when it may not be
// known or the process is a kernel thread or a zombie.
func (f FS) Exe(pid int) string {
	target, err := Readlink(f.Path(pid, "exe"))
	if err != nil {
		return ""
	}
	return BaseName(target)
}

// Exists says whether a process executes something, even when it may not be
// known what: kernel threads and zombies do not.
func (f FS) Exists(pid int) bool {
	_, err := Readlink(f.Path(pid, "exe"))
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// Hidden says whether /proc hides the processes of others (hidepid= in
// proc(5)): init is always there.
func (f FS) Hidden() error {
	if _, err := f.Stat(1); err != nil {
		return fmt.Errorf("processes of others may be hidden (hidepid): %w", err)
	}
	return nil
}

// ListDir lists a directory, and calls each with its descriptor.
func ListDir(path string, each func(dir int, name string)) error {
	return listDirFrom(path, 0, func(dir int, name string) bool { each(dir, name); return true })
}

// listDirFrom does so from a position on, as long as each returns true.
func listDirFrom(path string, at int64, each func(dir int, name string) bool) error {
	dir, err := OpenProc(path, unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	if at > 0 {
		if _, err := unix.Seek(dir, at, unix.SEEK_SET); err != nil {
			return &fs.PathError{Op: "seek", Path: path, Err: err}
		}
	}
	var buf [8192]byte
	var list []string
	for {
		n, err := unix.ReadDirent(dir, buf[:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return &fs.PathError{Op: "read", Path: path, Err: err}
		}
		if n == 0 {
			return nil
		}
		_, _, list = unix.ParseDirent(buf[:n], -1, list[:0])
		for _, name := range list {
			if !each(dir, name) {
				return nil
			}
		}
	}
}

// PIDs lists all processes.
func (f FS) PIDs() ([]int, error) {
	var pids []int
	err := ListDir(f.Root, func(_ int, name string) {
		if pid, err := strconv.Atoi(name); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	})
	return pids, err
}

// Children lists the direct children of a process. It needs a kernel with
// CONFIG_PROC_CHILDREN.
func (f FS) Children(pid int) ([]int, error) {
	buf := make([]byte, 4096)
	for {
		b, err := ReadFile(f.Path(pid, "task/"+strconv.Itoa(pid)+"/children"), buf)
		if err != nil {
			return nil, err
		}
		if len(b) < len(buf) {
			return parsePIDs(b), nil
		}
		buf = make([]byte, 4*len(buf))
	}
}

// CountFDs says how many descriptors a process has open, which is far cheaper than
// to list them; 0 when unknown: Linux has told it in the size of the directory
// since 6.2 (Documentation/filesystems/proc.rst).
func (f FS) CountFDs(pid int) int {
	var st unix.Stat_t
	if err := unix.Stat(f.Path(pid, "fd"), &st); err != nil {
		return 0
	}
	return int(st.Size)
}

// Cmdline reads /proc/PID/cmdline.
func (f FS) Cmdline(pid int) ([]string, error) {
	for size := MaxCmdline / 16; ; size = MaxCmdline {
		b, err := ReadFile(f.Path(pid, "cmdline"), make([]byte, size))
		if err != nil {
			return nil, err
		}
		if len(b) < size || size == MaxCmdline {
			return parseCmdline(b), nil
		}
	}
}

// agreedTimeout is the shorter of a server's own --timeout and the one that
// its client asked for. Where the client cannot be heard, its own is unknown.
func (f FS) agreedTimeout(pid int, own time.Duration) time.Duration {
	b, err := ReadFile(f.Path(pid, "environ"), make([]byte, MaxCmdline))
	if err != nil || len(b) == MaxCmdline {
		return cmdline.OwnTimeout(own)
	}
	return cmdline.Shorter(own, cmdline.AskedTimeout(b))
}

// proxy is the port of the proxy that a client uses, if it does.
func (f FS) proxy(pid int) []uint16 {
	var buf [MaxCmdline / 2]byte
	b, err := ReadFile(f.Path(pid, "environ"), buf[:])
	if err != nil {
		return nil
	}
	if port := cmdline.ProxyPort(b); port != 0 {
		return []uint16{port}
	}
	return nil
}

// FDInfo reads /proc/PID/fdinfo/FD.
func (f FS) FDInfo(pid, num int) (FDInfo, error) {
	var buf [1024]byte
	b, err := ReadFile(f.Path(pid, "fdinfo/"+strconv.Itoa(num)), buf[:])
	if err != nil {
		return FDInfo{}, err
	}
	return parseFDInfo(b)
}
