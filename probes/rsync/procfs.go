package rsync

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"lifeline/watchdog"
)

// procFS reads a /proc tree below root.
type procFS struct {
	root string
}

// maxCmdline bounds what is read of a command line; the options that matter
// stand in front, the file arguments of a client may be megabytes.
const maxCmdline = 64 << 10

func (f procFS) path(pid int, name string) string {
	return filepath.Join(f.root, strconv.Itoa(pid), name)
}

// readFile reads at most limit bytes of a file of /proc.
func readFile(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, limit))
}

// stat reads /proc/PID/stat.
func (f procFS) stat(pid int) (stat, error) {
	b, err := readFile(f.path(pid, "stat"), 4096)
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// exe is the base name of what a process executes; "" when it may not be
// known or the process is a kernel thread or a zombie.
func (f procFS) exe(pid int) string {
	target, err := os.Readlink(f.path(pid, "exe"))
	if err != nil {
		return ""
	}
	return baseName(target)
}

// exists says whether a process executes something, even when it may not be
// known what: kernel threads and zombies do not.
func (f procFS) exists(pid int) bool {
	_, err := os.Readlink(f.path(pid, "exe"))
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// pids lists all processes.
func (f procFS) pids() ([]int, error) {
	dir, err := os.Open(f.root)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// children lists the direct children of a process. It needs a kernel with
// CONFIG_PROC_CHILDREN.
func (f procFS) children(pid int) ([]int, error) {
	b, err := readFile(f.path(pid, filepath.Join("task", strconv.Itoa(pid), "children")), 1<<20)
	if err != nil {
		return nil, err
	}
	return parsePIDs(b), nil
}

// fds lists what a process holds open.
func (f procFS) fds(pid int) ([]fd, error) {
	path := f.path(pid, "fd")
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	fds := make([]fd, 0, len(names))
	for _, name := range names {
		num, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		target, err := os.Readlink(filepath.Join(path, name))
		if err != nil {
			continue // closed since it was listed
		}
		fds = append(fds, parseFD(num, target))
	}
	return fds, nil
}

// fdInfo reads /proc/PID/fdinfo/FD.
func (f procFS) fdInfo(pid, num int) (fdInfo, error) {
	b, err := readFile(f.path(pid, filepath.Join("fdinfo", strconv.Itoa(num))), 4096)
	if err != nil {
		return fdInfo{}, err
	}
	return parseFDInfo(b)
}

// process is what identifies one process.
type process struct {
	stat
	Exe   string   // base name; "" when it may not be known
	Argv  []string // of an rsync or sshd
	Cmd   command  // of an rsync
	Netns uint64   // of an rsync: inode of its network namespace; 0 when unknown
	CWD   string   // of an rsync; "" when unknown
}

// errReused says that the pid belongs to another process by now.
var errReused = errors.New("process changed while it was read")

// read identifies a process. A pid that was given to another process in
// between is an error. The command line lies in the memory of the process, and
// reading it can be made to hang: only those of interest are asked.
func (f procFS) read(pid int) (*process, error) {
	st, err := f.stat(pid)
	if err != nil {
		return nil, err
	}
	p := &process{stat: st, Exe: f.exe(pid)}
	if p.Exe == "" && st.State == 'Z' {
		return p, nil
	}
	if isRsync(p.name()) || isSSHD(p.name()) {
		cmdline, err := readFile(f.path(pid, "cmdline"), maxCmdline)
		if err != nil {
			return nil, err
		}
		p.Argv = parseCmdline(cmdline)
	}
	if p.rsync() {
		p.Cmd = parseCommand(p.Argv)
		p.CWD, _ = os.Readlink(f.path(pid, "cwd"))
		if target, err := os.Readlink(f.path(pid, "ns/net")); err == nil {
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
