package ledger

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"

	"lifeline/watchdog"
)

// Self is the identity of this process.
func Self() (Identity, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Identity{}, fmt.Errorf("read boot id: %w", err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat("/proc/self/ns/net", &st); err != nil {
		return Identity{}, fmt.Errorf("network namespace: %w", err)
	}
	start, err := StartTime(os.Getpid())
	if err != nil {
		return Identity{}, err
	}
	return Identity{
		Boot:   string(bytes.TrimSpace(boot)),
		Netns:  st.Ino,
		Daemon: watchdog.ProcID{PID: os.Getpid(), Start: start},
	}, nil
}

// StartTime is the start of a process in clock ticks since boot. An error that
// is fs.ErrNotExist or syscall.ESRCH means that it is gone.
func StartTime(pid int) (uint64, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	_, start, err := parseStat(b)
	if err != nil {
		return 0, fmt.Errorf("process %d: %w", pid, err)
	}
	return start, nil
}

// parseStat reads state and start time (fields 3 and 22 of proc(5) stat). The
// command name before them may hold spaces and parentheses.
func parseStat(b []byte) (state byte, start uint64, err error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, 0, fmt.Errorf("stat without a command name")
	}
	f := bytes.Fields(b[i+1:])
	if len(f) < 20 || len(f[0]) != 1 {
		return 0, 0, fmt.Errorf("stat with %d fields", len(f)+2)
	}
	start, err = strconv.ParseUint(string(f[19]), 10, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("stat start time: %w", err)
	}
	return f[0][0], start, nil
}
