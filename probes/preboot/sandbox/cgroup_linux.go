package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A memory cgroup is around each rehearsal: what the tools and most of the
// kernel's tables for them take is charged to it (cgroup v2, or the memory
// controller of v1). It bounds what the sum of a demand cannot foresee.

const (
	// maxMemory is the most that a cgroup holds, in bytes: a rehearsal with
	// 100,000 rules takes a third of it.
	maxMemory = 1 << 30
	// maxProcesses are processes and threads, where v2 bounds them.
	maxProcesses = 1024
	// emptyDeadline is how long the kernel may take to forget dead processes.
	emptyDeadline = 2 * time.Second
)

// memoryCgroup is a cgroup of our own; the zero one holds nothing.
type memoryCgroup struct{ dir string }

// cgroupParent is a directory in which a cgroup may be made.
type cgroupParent struct {
	dir string
	v2  bool
}

// cgroupName is the name of a cgroup: pid and start time of its maker, and a number.
var cgroupName = regexp.MustCompile(`^lifeline-preboot-([0-9]+)-([0-9]+)-[0-9]+$`)

var cgroupsMade atomic.Int64

// newMemoryCgroup makes a cgroup for at most memory bytes. The error says why none can be
// had: no cgroups are seen, or this user may not make one.
func newMemoryCgroup(memory uint64) (memoryCgroup, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return memoryCgroup{}, err
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return memoryCgroup{}, err
	}
	start, err := startTime(os.Getpid())
	if err != nil {
		return memoryCgroup{}, err
	}
	err = errors.New("no memory cgroup is seen here")
	for _, p := range cgroupParents(mounts, own, os.ReadFile) {
		removeStaleCgroups(p.dir)
		name := fmt.Sprintf("lifeline-preboot-%d-%s-%d", os.Getpid(), start, cgroupsMade.Add(1))
		var c memoryCgroup
		if c, err = p.make(name, memory); err == nil {
			return c, nil
		}
	}
	return memoryCgroup{}, err
}

// make makes one cgroup.
func (p cgroupParent) make(name string, memory uint64) (memoryCgroup, error) {
	c := memoryCgroup{path.Join(p.dir, name)}
	if err := os.Mkdir(c.dir, 0o755); err != nil {
		return memoryCgroup{}, err
	}
	limit := "memory.limit_in_bytes"
	if p.v2 {
		limit = "memory.max"
	}
	if err := c.set(limit, strconv.FormatUint(memory, 10)); err != nil {
		return memoryCgroup{}, errors.Join(err, unix.Rmdir(c.dir))
	}
	if p.v2 {
		// Beside the memory these are not needed: no swap, no fork bomb, and one
		// that is out of memory dies as a whole.
		for file, value := range map[string]string{"memory.swap.max": "0", "pids.max": strconv.Itoa(maxProcesses), "memory.oom.group": "1"} {
			_ = c.set(file, value)
		}
	}
	return c, nil
}

func (c memoryCgroup) set(file, value string) error {
	f, err := os.OpenFile(path.Join(c.dir, file), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(value)
	return errors.Join(err, f.Close())
}

// add puts a process with all its threads into the cgroup.
func (c memoryCgroup) add(pid int) error { return c.set("cgroup.procs", strconv.Itoa(pid)) }

// remove takes the cgroup away once its processes are dead.
func (c memoryCgroup) remove() {
	if c.dir == "" {
		return
	}
	for end := time.Now().Add(emptyDeadline); ; time.Sleep(5 * time.Millisecond) {
		// What is left after all is swept by the next rehearsal.
		if err := unix.Rmdir(c.dir); !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return
		}
	}
}

// removeStaleCgroups removes what killed rehearsals left: cgroups whose maker is dead. One
// with processes in it does not go.
func removeStaleCgroups(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // nothing can be made there either
	}
	for _, e := range entries {
		m := cgroupName.FindStringSubmatch(e.Name())
		if m == nil {
			continue
		}
		pid, err := strconv.Atoi(m[1])
		if err != nil {
			continue
		}
		start, err := startTime(pid)
		if errors.Is(err, fs.ErrNotExist) || err == nil && start != m[2] {
			_ = unix.Rmdir(path.Join(dir, e.Name())) // the next one tries again
		}
	}
}

// startTime is when a process began, in ticks since the boot (proc_pid_stat(5)).
func startTime(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(f) < 20 {
		return "", fmt.Errorf("/proc/%d/stat has %d fields", pid, len(f))
	}
	return string(f[19]), nil
}

// cgroupParents lists where a cgroup may be made, best first: in v2 the nearest cgroup
// at or above our own that hands memory to those below it (cgroups(7): one with
// processes in it cannot), in v1 our own.
func cgroupParents(mountinfo, own []byte, read func(string) ([]byte, error)) (out []cgroupParent) {
	var v1 []cgroupParent
	for _, m := range cgroupMounts(mountinfo) {
		for line := range strings.Lines(string(own)) {
			f := strings.SplitN(strings.TrimSpace(line), ":", 3)
			if len(f) != 3 {
				continue
			}
			below, inside := strings.CutPrefix(f[2], strings.TrimSuffix(m.root, "/"))
			if !inside || strings.Contains(below, "..") {
				continue
			}
			switch {
			case m.v2 && f[0] == "0" && f[1] == "":
				for d := path.Join(m.point, below); strings.HasPrefix(d, m.point); d = path.Dir(d) {
					if given, err := read(path.Join(d, "cgroup.subtree_control")); err == nil && slices.Contains(strings.Fields(string(given)), "memory") {
						out = append(out, cgroupParent{d, true})
					}
				}
			case !m.v2 && slices.Contains(strings.Split(f[1], ","), "memory"):
				v1 = append(v1, cgroupParent{path.Join(m.point, below), false})
			}
		}
	}
	return append(out, v1...)
}

// cgroupMount is a hierarchy that may have the memory controller.
type cgroupMount struct {
	point, root string
	v2          bool
}

// cgroupMounts reads proc_pid_mountinfo(5).
func cgroupMounts(mountinfo []byte) (out []cgroupMount) {
	for line := range strings.Lines(string(mountinfo)) {
		before, after, ok := strings.Cut(line, " - ")
		f, g := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 5 || len(g) < 3 {
			continue
		}
		m := cgroupMount{point: f[4], root: f[3], v2: g[0] == "cgroup2"}
		if m.v2 || g[0] == "cgroup" && slices.Contains(strings.Split(g[2], ","), "memory") {
			out = append(out, m)
		}
	}
	return out
}
