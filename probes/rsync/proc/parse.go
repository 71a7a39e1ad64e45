package proc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"lifeline/watchdog"
)

// Stat is what is used of /proc/PID/stat (proc(5)).
type Stat struct {
	ID    watchdog.ProcID
	Comm  string
	State byte
	PPID  int
	TTY   int // controlling terminal, 0 for none
}

// ErrFormat marks text that is not what the kernel's format promises.
var ErrFormat = errors.New("unexpected format")

// ParseStat reads /proc/PID/stat. The command stands in parentheses and may
// itself hold parentheses, blanks and newlines: it ends at the last ')'.
func ParseStat(b []byte) (Stat, error) {
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 1 || end < open {
		return Stat{}, fmt.Errorf("stat: %w", ErrFormat)
	}
	pid, err := strconv.Atoi(string(bytes.TrimSpace(b[:open])))
	if err != nil {
		return Stat{}, fmt.Errorf("stat: pid: %w", ErrFormat)
	}
	var fields [20][]byte // state is 0, start time is 19
	rest := b[end+1:]
	for i := range fields {
		rest = bytes.TrimLeft(rest, " \n")
		n := bytes.IndexAny(rest, " \n")
		if n < 0 {
			n = len(rest)
		}
		if n == 0 {
			return Stat{}, fmt.Errorf("stat: %d fields after the command: %w", i, ErrFormat)
		}
		fields[i], rest = rest[:n], rest[n:]
	}
	s := Stat{Comm: string(b[open+1 : end]), State: fields[0][0]}
	s.ID.PID = pid
	var errs [3]error
	s.PPID, errs[0] = strconv.Atoi(string(fields[1]))
	s.TTY, errs[1] = strconv.Atoi(string(fields[4]))
	s.ID.Start, errs[2] = strconv.ParseUint(string(fields[19]), 10, 64)
	if err := errors.Join(errs[:]...); err != nil {
		return Stat{}, fmt.Errorf("stat: %w: %w", ErrFormat, err)
	}
	return s, nil
}

// parseCmdline splits /proc/PID/cmdline. A process that renamed itself, as
// sshd does, leaves one string padded with NULs or blanks.
func parseCmdline(b []byte) []string {
	b = bytes.TrimRight(b, "\x00")
	if len(b) == 0 {
		return nil
	}
	args := strings.Split(string(b), "\x00")
	if len(args) == 1 {
		args[0] = strings.TrimRight(args[0], " ")
	}
	return args
}

// fdKind is what a descriptor refers to.
type fdKind uint8

const (
	OtherFD fdKind = iota
	SocketFD
	PipeFD
	FileFD // a path: a file, a directory or a device
)

// FD is one entry of /proc/PID/fd.
type FD struct {
	Num   int
	Kind  fdKind
	Inode uint64 // of a socket or pipe
	Path  string // of a file; " (deleted)" stripped
}

// parseFD reads the target of a link in /proc/PID/fd.
func parseFD(num int, target string) FD {
	if inode, ok := ParseInode(target, "socket:["); ok {
		return FD{Num: num, Kind: SocketFD, Inode: inode}
	}
	if inode, ok := ParseInode(target, "pipe:["); ok {
		return FD{Num: num, Kind: PipeFD, Inode: inode}
	}
	if strings.HasPrefix(target, "/") {
		return FD{Num: num, Kind: FileFD, Path: strings.TrimSuffix(target, " (deleted)")}
	}
	return FD{Num: num}
}

// ParseInode reads "PREFIX[N]", the form of sockets, pipes and namespaces.
func ParseInode(s, prefix string) (uint64, bool) {
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return 0, false
	}
	digits, ok := strings.CutSuffix(rest, "]")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, err == nil
}

// BaseName is the last part of what /proc/PID/exe points to. An executable
// that was replaced by an upgrade is marked " (deleted)" and still is itself.
func BaseName(exe string) string {
	exe = strings.TrimSuffix(exe, " (deleted)")
	return exe[strings.LastIndexByte(exe, '/')+1:]
}

// FDInfo is what is used of /proc/PID/fdinfo/FD.
type FDInfo struct {
	Pos    int64
	Flags  uint64 // open(2) flags
	Locked bool   // by flock(2) or fcntl(2), here or where it was inherited from
}

// parseFDInfo reads /proc/PID/fdinfo/FD: "pos:" in decimal, "flags:" in octal, and
// one "lock:" for each lock.
func parseFDInfo(b []byte) (FDInfo, error) {
	var (
		info  FDInfo
		found int
	)
	for line := range bytes.Lines(b) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		var err error
		switch text := string(bytes.TrimSpace(value)); string(key) {
		case "pos":
			info.Pos, err = strconv.ParseInt(text, 10, 64)
			found++
		case "flags":
			info.Flags, err = strconv.ParseUint(text, 8, 64)
			found++
		case "lock":
			info.Locked = true
		}
		if err != nil {
			return FDInfo{}, fmt.Errorf("fdinfo: %w: %w", ErrFormat, err)
		}
	}
	if found < 2 {
		return FDInfo{}, fmt.Errorf("fdinfo: no position or flags: %w", ErrFormat)
	}
	return info, nil
}

// ParseLastPID reads the fifth field of /proc/loadavg: the pid that was given
// out last in the reader's pid namespace. Threads count too.
func ParseLastPID(b []byte) (int, error) {
	f := bytes.Fields(b)
	if len(f) < 5 {
		return 0, fmt.Errorf("loadavg: %d fields: %w", len(f), ErrFormat)
	}
	n, err := strconv.Atoi(string(f[4]))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("loadavg: last pid %q: %w", f[4], ErrFormat)
	}
	return n, nil
}

// parsePIDs reads a list of pids separated by blanks, the form of
// /proc/PID/task/TID/children. What is not a pid is left out.
func parsePIDs(b []byte) []int {
	var pids []int
	for _, f := range bytes.Fields(b) {
		if n, err := strconv.Atoi(string(f)); err == nil && n > 0 {
			pids = append(pids, n)
		}
	}
	return pids
}
