package rsync

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// procFS reads a /proc tree below root. It calls the kernel directly: package
// os asks twice as often for what is read here, many times a second.
type procFS struct {
	root string
}

// maxCmdline bounds what is read of a command line; the options that matter
// stand in front, the file arguments of a client may be megabytes.
const maxCmdline = 64 << 10

func (f procFS) path(pid int, name string) string {
	return f.root + "/" + strconv.Itoa(pid) + "/" + name
}

// openProc opens a file or directory of /proc.
func openProc(path string, flags int) (int, error) {
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

// read reads a file of /proc into buf, as much as fits.
func read(path string, buf []byte) ([]byte, error) { return readFlags(path, 0, buf) }

func readFlags(path string, flags int, buf []byte) ([]byte, error) {
	fd, err := openProc(path, flags)
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

// readlink reads a link of /proc.
func readlink(path string) (string, error) { return readlinkat(unix.AT_FDCWD, path) }

func readlinkat(dir int, path string) (string, error) {
	var buf [unix.PathMax]byte
	n, err := unix.Readlinkat(dir, path, buf[:])
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: path, Err: err}
	}
	return string(buf[:n]), nil
}

// stat reads /proc/PID/stat.
func (f procFS) stat(pid int) (stat, error) {
	var buf [1024]byte
	b, err := read(f.path(pid, "stat"), buf[:])
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// exe is the base name of what a process executes; "" when it may not be
// known or the process is a kernel thread or a zombie.
func (f procFS) exe(pid int) string {
	target, err := readlink(f.path(pid, "exe"))
	if err != nil {
		return ""
	}
	return baseName(target)
}

// exists says whether a process executes something, even when it may not be
// known what: kernel threads and zombies do not.
func (f procFS) exists(pid int) bool {
	_, err := readlink(f.path(pid, "exe"))
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// hidden says whether /proc hides the processes of others (hidepid= in
// proc(5)): init is always there.
func (f procFS) hidden() error {
	if _, err := f.stat(1); err != nil {
		return fmt.Errorf("processes of others may be hidden (hidepid): %w", err)
	}
	return nil
}

// names lists a directory, and calls each with its descriptor.
func names(path string, each func(dir int, name string)) error {
	return namesFrom(path, 0, func(dir int, name string) bool { each(dir, name); return true })
}

// namesFrom does so from a position on, as long as each returns true.
func namesFrom(path string, at int64, each func(dir int, name string) bool) error {
	dir, err := openProc(path, unix.O_DIRECTORY)
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

// pids lists all processes.
func (f procFS) pids() ([]int, error) {
	var pids []int
	err := names(f.root, func(_ int, name string) {
		if pid, err := strconv.Atoi(name); err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	})
	return pids, err
}

// children lists the direct children of a process. It needs a kernel with
// CONFIG_PROC_CHILDREN.
func (f procFS) children(pid int) ([]int, error) {
	buf := make([]byte, 4096)
	for {
		b, err := read(f.path(pid, "task/"+strconv.Itoa(pid)+"/children"), buf)
		if err != nil {
			return nil, err
		}
		if len(b) < len(buf) {
			return parsePIDs(b), nil
		}
		buf = make([]byte, 4*len(buf))
	}
}

// countFDs says how many descriptors a process has open, which is far cheaper than
// to list them; 0 when unknown: Linux has told it in the size of the directory
// since 6.2 (Documentation/filesystems/proc.rst).
func (f procFS) countFDs(pid int) int {
	var st unix.Stat_t
	if err := unix.Stat(f.path(pid, "fd"), &st); err != nil {
		return 0
	}
	return int(st.Size)
}

// cmdline reads /proc/PID/cmdline.
func (f procFS) cmdline(pid int) ([]string, error) {
	for size := maxCmdline / 16; ; size = maxCmdline {
		b, err := read(f.path(pid, "cmdline"), make([]byte, size))
		if err != nil {
			return nil, err
		}
		if len(b) < size || size == maxCmdline {
			return parseCmdline(b), nil
		}
	}
}

// agreedTimeout is the shorter of a server's own --timeout and the one that
// its client asked for. Where the client cannot be heard, its own is unknown.
func (f procFS) agreedTimeout(pid int, own time.Duration) time.Duration {
	b, err := read(f.path(pid, "environ"), make([]byte, maxCmdline))
	if err != nil || len(b) == maxCmdline {
		return ownTimeout(own)
	}
	return shorter(own, askedTimeout(b))
}

// proxy is the port of the proxy that a client uses, if it does.
func (f procFS) proxy(pid int) []uint16 {
	var buf [maxCmdline / 2]byte
	b, err := read(f.path(pid, "environ"), buf[:])
	if err != nil {
		return nil
	}
	if port := proxyPort(b); port != 0 {
		return []uint16{port}
	}
	return nil
}

// fdInfo reads /proc/PID/fdinfo/FD.
func (f procFS) fdInfo(pid, num int) (fdInfo, error) {
	var buf [1024]byte
	b, err := read(f.path(pid, "fdinfo/"+strconv.Itoa(num)), buf[:])
	if err != nil {
		return fdInfo{}, err
	}
	return parseFDInfo(b)
}

// process is what identifies one process.
type process struct {
	stat
	Exe   string   // base name; "" when it may not be known
	Argv  []string // of an rsync, and as sshds gives it of a part of the host's sshd
	Cmd   command  // of an rsync
	Netns uint64   // of an rsync: inode of its network namespace; 0 when unknown
	CWD   string   // of an rsync; "" when unknown
}

// errReused says that the pid belongs to another process by now.
var errReused = errors.New("process changed while it was read")

// process identifies a process. A pid that was given to another process in
// between is an error. The command line lies in the memory of the process, and
// reading it can be made to hang: only those of interest are asked.
func (f procFS) process(pid int) (*process, error) {
	st, err := f.stat(pid)
	if err != nil {
		return nil, err
	}
	p := &process{stat: st, Exe: f.exe(pid)}
	if p.Exe == "" && st.State == 'Z' {
		return p, nil
	}
	if isRsync(p.name()) {
		if p.Argv, err = f.cmdline(pid); err != nil {
			return nil, err
		}
	}
	if p.rsync() {
		p.Cmd = parseCommand(p.Argv)
		if p.Cmd.Server && p.Cmd.Timeout > 0 {
			p.Cmd.Timeout = f.agreedTimeout(pid, p.Cmd.Timeout)
		}
		if !p.Cmd.Server && !p.Cmd.Daemon && p.Cmd.toDaemon() {
			p.Cmd.Ports = append(p.Cmd.Ports, f.proxy(pid)...)
		}
		p.CWD, _ = readlink(f.path(pid, "cwd"))
		if target, err := readlink(f.path(pid, "ns/net")); err == nil {
			p.Netns, _ = bracketed(target, "net:[")
		}
	}
	again, err := f.stat(pid)
	if err != nil {
		return nil, err
	}
	if again.ID != st.ID {
		return nil, fmt.Errorf("pid %d: %w", pid, errReused)
	}
	p.stat = again
	return p, nil
}

// name is what a process is called: what it executes, or its command name
// where that may not be known.
func (p *process) name() string {
	if p.Exe != "" {
		return p.Exe
	}
	return p.Comm
}

// rsync says whether the process executes rsync. Where the executable may not
// be known, its command name and arguments have to do: such a transfer is
// reported, but can hardly be touched. A kernel thread has no arguments.
func (p *process) rsync() bool { return isRsync(p.name()) && len(p.Argv) > 0 }

// id names the process for its whole life.
func (p *process) id() watchdog.ProcID { return p.stat.ID }
