package main

import (
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

// TestPrebootLeavesNothingWhenKilled kills the check at random moments of its
// life. Whatever it had made is gone with it: its processes and those of the
// tools, their namespaces, its mounts, and every file.
func TestPrebootLeavesNothingWhenKilled(t *testing.T) {
	rules := rulesFile(t, "*filter\n:INPUT DROP\n"+strings.Repeat("-A INPUT -s 192.0.2.77 -j DROP\n", 500)+"-A INPUT -p tcp -j ACCEPT\n-A INPUT -p icmp -j ACCEPT\nCOMMIT\n")
	args := append(offline(rules), "--mgmt", "192.0.2.128/25,2001:db8::/32", "--link", "eth1=198.51.100.1/24")
	whole := time.Now()
	if _, errs, code := runPreboot(t, args...); code == exitUsage {
		t.Fatal(errs)
	}
	longest := time.Since(whole)
	mounts, spaces, files := hostMounts(t), pidNamespaces(t), scratchFiles(t)
	var killed atomic.Int32
	var g errgroup.Group
	g.SetLimit(2)
	for range 50 {
		g.Go(func() error {
			cmd := exec.CommandContext(t.Context(), binary, args...)
			if err := cmd.Start(); err != nil {
				return err
			}
			time.Sleep(rand.N(longest)) // the moment of its death
			_ = cmd.Process.Kill()      // it may have ended
			if err := cmd.Wait(); err != nil && !cmd.ProcessState.Exited() {
				killed.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if killed.Load() < 10 {
		t.Errorf("only %d of 50 were still at it", killed.Load())
	}
	// Others may make namespaces meanwhile; what is ours is there by now.
	left := missing(spaces, pidNamespaces(t))
	gone := func() bool {
		now := pidNamespaces(t)
		left = slices.DeleteFunc(left, func(ns string) bool { return !now[ns] })
		return len(left) == 0 && len(ours(t)) == 0
	}
	for end := time.Now().Add(20 * time.Second); !gone() && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
	}
	if p := ours(t); len(p) > 0 {
		t.Errorf("processes are left: %q", p)
	}
	if len(left) > 0 {
		t.Errorf("namespaces are left: %q", left)
	}
	if m := missing(mounts, hostMounts(t)); len(m) > 0 {
		t.Errorf("mounts are left: %q", m)
	}
	if f := missing(files, scratchFiles(t)); len(f) > 0 {
		t.Errorf("files are left: %q", f)
	}
}

func missing(before, now map[string]bool) []string {
	return slices.Sorted(func(yield func(string) bool) {
		for k := range maps.Keys(now) {
			if !before[k] && !yield(k) {
				return
			}
		}
	})
}

// ours are the processes that run the program under test.
func ours(t *testing.T) (out []string) {
	t.Helper()
	for _, pid := range pids(t) {
		if exe, err := os.Readlink("/proc/" + pid + "/exe"); err == nil && exe == binary {
			out = append(out, pid)
		}
	}
	return out
}

func pids(t *testing.T) (out []string) {
	t.Helper()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if _, err := strconv.Atoi(d.Name()); err == nil {
			out = append(out, d.Name())
		}
	}
	return out
}

// pidNamespaces are those of all processes. A tool cannot leave the one that it
// was started in.
func pidNamespaces(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, pid := range pids(t) {
		if ns, err := os.Readlink("/proc/" + pid + "/ns/pid"); err == nil && ns != "" {
			out[ns] = true
		}
	}
	return out
}

// hostMounts are the mounts that have to do with a rehearsal.
func hostMounts(t *testing.T) map[string]bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if strings.Contains(line, "lifeline-rehearsal") {
			out[line] = true
		}
	}
	return out
}

// scratchFiles are the names in the directories for what is temporary, as far
// as they have to do with us. Other tests make files there too.
func scratchFiles(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, dir := range []string{"/tmp", "/run", "/var/tmp", "/mnt", "/dev/shm", os.TempDir()} {
		for _, pattern := range []string{"*lifeline-rehearsal*", ".lifeline*", "*preboot*", "*xtables*"} {
			names, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, n := range names {
				out[n] = true
			}
		}
	}
	return out
}
