package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// belongs says whether the process pid is one of those that a lab may kill.
type belongs func(pid int) bool

// inAny tells processes whose network namespace has one of the inodes, or
// that carry the mark. A process that cannot be read is not ours to kill, nor
// is anything for sharing the caller's own namespace.
func inAny(inodes map[uint64]bool, mark string) belongs {
	var own unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &own); err == nil {
		delete(inodes, own.Ino)
	}
	entry := []byte(markVar + "=" + mark)
	return func(pid int) bool {
		dir := "/proc/" + strconv.Itoa(pid)
		var st unix.Stat_t
		if err := unix.Stat(dir+"/ns/net", &st); err == nil && inodes[st.Ino] {
			return true
		}
		env, err := os.ReadFile(dir + "/environ")
		if err != nil {
			return false
		}
		for v := range bytes.SplitSeq(env, []byte{0}) {
			if bytes.Equal(v, entry) {
				return true
			}
		}
		return false
	}
}

// members lists the processes that belong, never the calling one.
func members(ours belongs) ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && pid != os.Getpid() && ours(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// killAll kills every process that belongs until none is left. SIGKILL ends a
// stopped process too, so that none needs to be continued first.
func killAll(ours belongs) error {
	const patience = 10 * time.Second
	deadline := time.Now().Add(patience)
	for {
		pids, err := members(ours)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("lab: processes %v survive SIGKILL for %v", pids, patience)
		}
		for _, pid := range pids {
			if err := killOne(pid, ours); err != nil {
				return err
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// killOne kills pid if it still belongs once a pidfd holds its identity.
func killOne(pid int, ours belongs) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH || err == unix.EINVAL { // gone, or a thread's number now
		return nil
	}
	if err != nil {
		return fmt.Errorf("lab: pidfd of %d: %w", pid, err)
	}
	defer unix.Close(fd)
	if !ours(pid) {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("lab: kill %d: %w", pid, err)
	}
	return nil
}

// startTime returns when pid started, in clock ticks since boot; ok is false
// if there is no such process.
func startTime(pid int) (ticks uint64, ok bool, err error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("lab: %w", err)
	}
	ticks, err = parseStartTime(stat)
	return ticks, err == nil, err
}
