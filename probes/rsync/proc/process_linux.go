package proc

import (
	"fmt"

	"lifeline/probes/rsync/cmdline"
)

// Process is what identifies one process.
type Process struct {
	Stat
	Exe   string          // base name; "" when it may not be known
	Argv  []string        // of an rsync, and as sshds gives it of a part of the host's sshd
	Cmd   cmdline.Command // of an rsync
	Netns uint64          // of an rsync: inode of its network namespace; 0 when unknown
	CWD   string          // of an rsync; "" when unknown
}

// Process identifies a process. A pid that was given to another process in
// between is an error. The command line lies in the memory of the process, and
// reading it can be made to hang: only those of interest are asked.
func (f FS) Process(pid int) (*Process, error) {
	st, err := f.Stat(pid)
	if err != nil {
		return nil, err
	}
	p := &Process{Stat: st, Exe: f.Exe(pid)}
	if p.Exe == "" && st.State == 'Z' {
		return p, nil
	}
	if cmdline.IsRsync(p.Name()) {
		if p.Argv, err = f.Cmdline(pid); err != nil {
			return nil, err
		}
	}
	if p.IsRsync() {
		p.Cmd = cmdline.Parse(p.Argv)
		if p.Cmd.Server && p.Cmd.Timeout > 0 {
			p.Cmd.Timeout = f.agreedTimeout(pid, p.Cmd.Timeout)
		}
		if !p.Cmd.Server && !p.Cmd.Daemon && p.Cmd.ToDaemon() {
			p.Cmd.Ports = append(p.Cmd.Ports, f.proxy(pid)...)
		}
		p.CWD, _ = Readlink(f.Path(pid, "cwd"))
		if target, err := Readlink(f.Path(pid, "ns/net")); err == nil {
			p.Netns, _ = ParseInode(target, "net:[")
		}
	}
	again, err := f.Stat(pid)
	if err != nil {
		return nil, err
	}
	if again.ID != st.ID {
		return nil, fmt.Errorf("pid %d: %w", pid, ErrPIDReused)
	}
	p.Stat = again
	return p, nil
}

// Name is what a process is called: what it executes, or its command name
// where that may not be known.
func (p *Process) Name() string {
	if p.Exe != "" {
		return p.Exe
	}
	return p.Comm
}

// IsRsync says whether the process executes rsync. Where the executable may not
// be known, its command name and arguments have to do: such a transfer is
// reported, but can hardly be touched. A kernel thread has no arguments.
func (p *Process) IsRsync() bool { return cmdline.IsRsync(p.Name()) && len(p.Argv) > 0 }

// CutOff says that the command line was longer than what is read of one.
func (p *Process) CutOff() bool {
	size := 0
	for _, a := range p.Argv {
		size += len(a) + 1
	}
	return size >= MaxCmdline-1
}
