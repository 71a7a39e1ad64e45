package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lifeline/probes/iptables"
)

// needCgroup skips a test where no memory cgroup can be had, and gives where it
// would be.
func needCgroup(t *testing.T) (dir string) {
	t.Helper()
	c, err := newMemoryCgroup(maxMemory)
	if err != nil {
		t.Skipf("no memory cgroup of our own here: %v", err)
	}
	c.remove()
	if _, err := os.Stat(c.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s stays: %v", c.dir, err)
	}
	return filepath.Dir(c.dir)
}

// cgroupsOf lists the cgroups that a process made.
func cgroupsOf(t *testing.T, dir string, pid int) []string {
	t.Helper()
	got, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("lifeline-preboot-%d-*", pid)))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestCageBoundsTheKernelsMemory: a set that stays below what a file may ask for
// takes more than the cgroup holds. The load is not known then, and the host has
// its memory.
func TestCageBoundsTheKernelsMemory(t *testing.T) {
	needTool(t, "ipset")
	dir := needCgroup(t)
	for name, how := range confinements() {
		t.Run(name, func(t *testing.T) {
			p, err := startWithin(t.Context(), how, 100<<20)
			if err != nil {
				t.Skipf("no namespaces of our own here: %v", err)
			}
			defer p.Close()
			if err := p.MemoryLimit(); err != nil {
				t.Fatal(err)
			}
			sets := Load{Commands: []Command{{Argv: []string{"ipset", "-exist", "restore"}}}, Input: []byte("create big hash:ip hashsize 16777216\n")}
			said, err := p.load(t, plainNetwork(), sets)
			var killed KilledError
			switch {
			case errors.As(err, &killed):
			case err != nil:
				t.Errorf("%v", err)
			case StatusOf(said[0], true, true).Told(iptables.LoadOK).Load != iptables.LoadUnknown:
				t.Errorf("128 MB of buckets within 100 MB: %+v", said[0])
			}
			p.Close()
			if left := cgroupsOf(t, dir, os.Getpid()); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestCageOfTheDeadIsSwept: a check that was killed leaves its cgroup, and the next
// one takes it away; what others made stays.
func TestCageOfTheDeadIsSwept(t *testing.T) {
	needTool(t, "sleep")
	dir := needCgroup(t)
	alive, err := newMemoryCgroup(maxMemory)
	if err != nil {
		t.Fatal(err)
	}
	defer alive.remove()
	foreign := filepath.Join(dir, fmt.Sprintf("lifeline-preboot-of-somebody-%d", os.Getpid()))
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(foreign)

	cmd := startHanging(t)
	if got := cgroupsOf(t, dir, cmd.Process.Pid); len(got) != 1 {
		t.Fatalf("its cgroup: %q", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	await(t, "the next rehearsals to sweep", func() bool {
		c, err := newMemoryCgroup(maxMemory)
		if err != nil {
			t.Fatal(err)
		}
		c.remove()
		return len(cgroupsOf(t, dir, cmd.Process.Pid)) == 0
	})
	for _, d := range []string{alive.dir, foreign} {
		if _, err := os.Stat(d); err != nil {
			t.Errorf("swept too much: %v", err)
		}
	}
}

func TestCagePlaces(t *testing.T) {
	const v2 = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
	const hybrid = "31 24 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n33 24 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
	gives := map[string]string{
		"/sys/fs/cgroup/cgroup.subtree_control": "cpu memory pids\n", "/sys/fs/cgroup/system.slice/cgroup.subtree_control": "memory pids\n",
		"/sys/fs/cgroup/system.slice/lifeline.service/cgroup.subtree_control": "\n", "/sys/fs/cgroup/unified/cgroup.subtree_control": "hugetlb\n",
	}
	read := func(p string) ([]byte, error) {
		s, ok := gives[p]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(s), nil
	}
	for _, c := range []struct {
		name, mounts, own string
		want              []cgroupParent
	}{
		{"v2", v2, "0::/system.slice/lifeline.service\n", []cgroupParent{{"/sys/fs/cgroup/system.slice", true}, {"/sys/fs/cgroup", true}}},
		{"hybrid", hybrid, "8:pids:/\n4:cpu,memory:/a/b\n0::/\n", []cgroupParent{{"/sys/fs/cgroup/memory/a/b", false}}},
		{"a part of it", "32 24 0:28 /docker/7 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "4:memory:/docker/7\n", []cgroupParent{{"/sys/fs/cgroup/memory", false}}},
		{"not ours", "32 24 0:28 /docker/7 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "4:memory:/\n", nil},
		{"outside of the namespace", v2, "0::/../other\n", nil},
		{"hidden", "24 1 0:5 / /sys rw - sysfs sysfs rw\n", "0::/\n", nil},
		{"nonsense", "x\n - \n", "::\n0\n", nil},
	} {
		if got := cgroupParents([]byte(c.mounts), []byte(c.own), read); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestCageWithoutItsFiles: what is no cgroup, for it has none of the files that the
// kernel puts there, is no cgroup and does not stay.
func TestCageWithoutItsFiles(t *testing.T) {
	dir := t.TempDir()
	if c, err := (cgroupParent{dir, true}).make("lifeline-preboot-1-2-3", 1); err == nil || c.dir != "" {
		t.Errorf("%+v, %v", c, err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
