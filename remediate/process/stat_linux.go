package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// Stat is what is needed of /proc/PID/stat.
type Stat struct {
	State byte
	PPID  int
	Start uint64
}

// Stopped says whether the process is held by a stop signal.
func (s Stat) Stopped() bool { return s.State == 'T' }

// Dead says whether the process only waits to be reaped.
func (s Stat) Dead() bool { return s.State == 'Z' || s.State == 'X' }

// ReadStat reads /proc/PID/stat; ErrGone when there is no such process.
func ReadStat(pid int) (Stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ESRCH) {
		return Stat{}, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	if err != nil {
		return Stat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	st, err := parseStat(b)
	if err != nil {
		return Stat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return st, nil
}

// StatOf is readStat of exactly p.
func StatOf(p watchdog.ProcID) (Stat, error) {
	st, err := ReadStat(p.PID)
	if err == nil && (st.Start != p.Start || st.Dead()) {
		err = fmt.Errorf("process %s: %w", p, ErrGone)
	}
	return st, err
}

// parseStat reads fields 3, 4 and 22 of proc(5) stat. The command name before
// them may hold spaces and parentheses.
func parseStat(b []byte) (Stat, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return Stat{}, errors.New("stat without a command name")
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 20 || len(f[0]) != 1 {
		return Stat{}, fmt.Errorf("stat with %d fields", len(f)+2)
	}
	ppid, err := strconv.Atoi(f[1])
	if err != nil {
		return Stat{}, fmt.Errorf("stat parent: %w", err)
	}
	start, err := strconv.ParseUint(f[19], 10, 64)
	if err != nil {
		return Stat{}, fmt.Errorf("stat start time: %w", err)
	}
	return Stat{State: f[0][0], PPID: ppid, Start: start}, nil
}

// exeName is the base name of a process's program; "" when it cannot be read.
func exeName(pid int) string {
	exe, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/exe")
	if err != nil {
		return ""
	}
	return filepath.Base(strings.TrimSuffix(exe, " (deleted)"))
}

// childrenOf lists the children of p's main thread. Without
// CONFIG_PROC_CHILDREN it is empty, and the next sample names them.
func childrenOf(p watchdog.ProcID) []watchdog.ProcID {
	pid := strconv.Itoa(p.PID)
	b, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	if err != nil {
		return nil
	}
	var out []watchdog.ProcID
	for _, f := range strings.Fields(string(b)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			continue
		}
		if st, err := ReadStat(n); err == nil && st.PPID == p.PID {
			out = append(out, watchdog.ProcID{PID: n, Start: st.Start})
		}
	}
	return out
}
