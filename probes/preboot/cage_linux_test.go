package preboot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/iptables"
)

// needCage skips a test where no memory cgroup can be had, and gives where it
// would be.
func needCage(t *testing.T) (dir string) {
	t.Helper()
	c, err := newCage(cageMemory)
	if err != nil {
		t.Skipf("no memory cgroup of our own here: %v", err)
	}
	c.remove()
	if _, err := os.Stat(c.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s stays: %v", c.dir, err)
	}
	return filepath.Dir(c.dir)
}

// cagesOf lists the cages that a process made.
func cagesOf(t *testing.T, dir string, pid int) []string {
	t.Helper()
	got, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("lifeline-preboot-%d-*", pid)))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestCageBoundsTheKernelsMemory: a set that stays below what a file may ask for
// takes more than the cage holds. The load is not known then, and the host has
// its memory.
func TestCageBoundsTheKernelsMemory(t *testing.T) {
	needTool(t, "ipset")
	dir := needCage(t)
	for name, how := range confinements() {
		t.Run(name, func(t *testing.T) {
			p, err := startProgram(t.Context(), how, ChildArgs, 100<<20)
			if err != nil {
				t.Skipf("no namespaces of our own here: %v", err)
			}
			defer p.Close()
			if p.Unbounded() != "" {
				t.Fatal(p.Unbounded())
			}
			sets := ruleFile{role: roleIPSets, path: "sets", text: []byte("create big hash:ip hashsize 16777216\n")}
			said, err := p.Stage(plainScene(sets.load(iptables.Legacy)))
			var killed killedError
			switch {
			case errors.As(err, &killed):
			case err != nil:
				t.Errorf("%v", err)
			case understand(said[0], true, true).told(iptables.LoadOK).Load != iptables.LoadUnknown:
				t.Errorf("128 MB of buckets within 100 MB: %+v", said[0])
			}
			p.Close()
			if left := cagesOf(t, dir, os.Getpid()); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
		})
	}
}

// TestCageOfTheDeadIsSwept: a check that was killed leaves its cage, and the next
// one takes it away; what others made stays.
func TestCageOfTheDeadIsSwept(t *testing.T) {
	needTool(t, "sleep")
	dir := needCage(t)
	alive, err := newCage(cageMemory)
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
	if got := cagesOf(t, dir, cmd.Process.Pid); len(got) != 1 {
		t.Fatalf("its cage: %q", got)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	await(t, "the next rehearsals to sweep", func() bool {
		c, err := newCage(cageMemory)
		if err != nil {
			t.Fatal(err)
		}
		c.remove()
		return len(cagesOf(t, dir, cmd.Process.Pid)) == 0
	})
	for _, d := range []string{alive.dir, foreign} {
		if _, err := os.Stat(d); err != nil {
			t.Errorf("swept too much: %v", err)
		}
	}
}

// TestKilledRehearsalIsNotSafe: files that get the rehearsal killed are not safe on
// the word of the analysis alone, and no other way is tried with them.
func TestKilledRehearsalIsNotSafe(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4(), "etc/iptables/rules.v6": openRules})
	for name, s := range map[string]*dyingStage{
		"while it loads": {fakeStage: goodStage(), loading: true}, "while it is tried": {fakeStage: goodStage()},
	} {
		c := fakeChecker(newFakeMachine(), s.fakeStage, root)
		opened := 0
		way := stageOpener{ids: true, open: func(ctx context.Context) (stage, error) { opened++; return s, nil }}
		c.stages = func(bool) []stageOpener { return []stageOpener{way, way} }
		r, err := c.check(t.Context(), Options{})
		if err != nil || r.Verdict != Unknown || !strings.Contains(r.Reason, "killed by a signal") || opened != 1 {
			t.Errorf("%s: %s: %s, %v, opened %d times", name, r.Verdict, r.Reason, err, opened)
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
		want              []cagePlace
	}{
		{"v2", v2, "0::/system.slice/lifeline.service\n", []cagePlace{{"/sys/fs/cgroup/system.slice", true}, {"/sys/fs/cgroup", true}}},
		{"hybrid", hybrid, "8:pids:/\n4:cpu,memory:/a/b\n0::/\n", []cagePlace{{"/sys/fs/cgroup/memory/a/b", false}}},
		{"a part of it", "32 24 0:28 /docker/7 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "4:memory:/docker/7\n", []cagePlace{{"/sys/fs/cgroup/memory", false}}},
		{"not ours", "32 24 0:28 /docker/7 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n", "4:memory:/\n", nil},
		{"outside of the namespace", v2, "0::/../other\n", nil},
		{"hidden", "24 1 0:5 / /sys rw - sysfs sysfs rw\n", "0::/\n", nil},
		{"nonsense", "x\n - \n", "::\n0\n", nil},
	} {
		if got := cagePlaces([]byte(c.mounts), []byte(c.own), read); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestCageWithoutItsFiles: what is no cgroup, for it has none of the files that the
// kernel puts there, is no cage and does not stay.
func TestCageWithoutItsFiles(t *testing.T) {
	dir := t.TempDir()
	if c, err := (cagePlace{dir, true}).make("lifeline-preboot-1-2-3", 1); err == nil || c.dir != "" {
		t.Errorf("%+v, %v", c, err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestUncagedIsSaid: without a cgroup the answer says what bounds the rehearsal.
func TestUncagedIsSaid(t *testing.T) {
	root := tree(t, map[string]string{"etc/iptables/rules.v4": openRules4(), "etc/iptables/rules.v6": openRules})
	s := &dyingStage{fakeStage: goodStage(), alive: true}
	c := fakeChecker(newFakeMachine(), s.fakeStage, root)
	c.stages = func(bool) []stageOpener {
		return []stageOpener{{ids: true, open: func(context.Context) (stage, error) { return s, nil }}}
	}
	r, err := c.check(t.Context(), Options{})
	if err != nil || r.Verdict != Safe || !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "no memory cgroup is around the rehearsal") }) {
		t.Errorf("%s, %q, %v", r.Verdict, r.Notes, err)
	}
}

// dyingStage is killed while it loads, or while connections are tried.
type dyingStage struct {
	*fakeStage
	loading, alive bool
}

var errKilled = killedError{errors.New("killed by a signal")}

func (s *dyingStage) Stage(sc scene) ([]loaded, error) {
	if s.loading {
		return nil, errKilled
	}
	return s.fakeStage.Stage(sc)
}

func (s *dyingStage) Play(tr traffic) ([]Outcome, error) {
	if s.alive {
		return s.fakeStage.Play(tr)
	}
	return nil, errKilled
}

func (s *dyingStage) Unbounded() string { return "it is not to be had" }
