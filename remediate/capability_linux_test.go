package remediate

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"lifeline/watchdog"
)

func TestTrialsOnThisKernel(t *testing.T) {
	got := Try(context.Background(), play("trial"))
	t.Logf("a receive buffer can be held: %v", got.HoldBuffer)
	t.Logf("clamp on a full receiver is safe: %v", got.FullClamp)
	for _, c := range got.Capabilities {
		if !c.Available && (os.Geteuid() == 0 || c.Name == remedyPause) {
			t.Errorf("%s: %s", c.Name, c.Why)
		}
		if !c.Available && (c.Why == "" || c.Left == "") {
			t.Errorf("%s is not available, and nothing says why or what is left: %+v", c.Name, c)
		}
	}
}

func TestTrialWithoutProgram(t *testing.T) {
	got := Try(context.Background(), []string{"/nonexistent/program"})
	if len(got.Capabilities) != 5 || got.HoldBuffer || got.FullClamp {
		t.Fatalf("%+v", got)
	}
	for _, c := range got.Capabilities {
		if c.Available || !strings.Contains(c.Why, "/nonexistent/program") {
			t.Errorf("%+v", c)
		}
	}
}

// A host whose loopback is down, or firewalled, has its mechanisms all the same.
func TestTrialWithoutLoopback(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	err := inNewNetns(func() error { // its loopback is down
		for _, c := range Try(context.Background(), play("trial")).Capabilities {
			if !c.Available {
				t.Errorf("%s: %s", c.Name, c.Why)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A real transfer tells whether the sockets of others can be reached.
func TestReach(t *testing.T) {
	x := newTrial(t).transfer()
	if lacking, tried := Reach([]watchdog.Transfer{x}); !tried || lacking != nil {
		t.Errorf("one that can be reached: %+v, tried %v", lacking, tried)
	}
	gone, foreign, barred := x, x, x
	gone.Socket.Inode++
	foreign.Foreign = true
	if lacking, tried := Reach([]watchdog.Transfer{gone, foreign, {}}); tried || lacking != nil {
		t.Errorf("nobody to try it on: %+v, tried %v", lacking, tried)
	}
	barred.Socket.Refs = []watchdog.FDRef{{Proc: watchdog.ProcID{PID: 1}, FD: 3}} // refused, as by the kernel
	lacking, tried := Reach([]watchdog.Transfer{barred, x})
	if !tried || len(lacking) != 3 {
		t.Fatalf("out of reach: %+v, tried %v", lacking, tried)
	}
	for _, c := range lacking {
		if c.Available || !strings.Contains(c.Why, "running rsync") || c.Left == "" {
			t.Errorf("%+v", c)
		}
	}
}

func TestExplain(t *testing.T) {
	root := confinement{ptrace: true, netAdmin: true, release: "6.1.0"}
	with := func(f func(*confinement)) confinement { c := root; f(&c); return c }
	cases := []struct {
		c    confinement
		err  error
		want string
	}{
		{root, nil, ""},
		{root, syscall.EPERM, "unknown"},
		{with(func(c *confinement) { c.yama = "3" }), syscall.EPERM, "ptrace_scope = 3"},
		{with(func(c *confinement) { c.ptrace = false; c.container = "docker" }), syscall.EPERM, "container (docker) has no CAP_SYS_PTRACE"},
		{with(func(c *confinement) { c.ptrace = false }), syscall.EPERM, "CapabilityBoundingSet="},
		{with(func(c *confinement) { c.apparmor = "lifeline (enforce)" }), syscall.EACCES, `AppArmor profile "lifeline (enforce)"`},
		{with(func(c *confinement) { c.selinux = "system_u:system_r:init_t:s0" }), syscall.EPERM, "SELinux is enforcing"},
		{with(func(c *confinement) { c.seccomp = true }), syscall.EPERM, "seccomp"},
		{with(func(c *confinement) { c.seccomp = true }), syscall.ENOSYS, "seccomp"},
		{with(func(c *confinement) { c.netAdmin = false }), syscall.EPERM, "CAP_NET_ADMIN"},
		{with(func(c *confinement) { c.release = "4.18.0-553.el8" }), syscall.ENOSYS, "kernel 4.18.0-553.el8 lacks the call"},
		{root, errors.New("odd"), "odd"},
	}
	for _, c := range cases {
		if got := c.c.explain(c.err); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%+v, %v: %q, want %q in it", c.c, c.err, got, c.want)
		}
	}
}

func TestContainerOfCgroup(t *testing.T) {
	for cgroup, want := range map[string]string{
		"0::/":                                                          "",
		"0::/system.slice/docker.service\n":                             "",
		"0::/system.slice/containerd.service\n":                         "",
		"0::/system.slice/lifeline.service\n":                           "",
		"0::/system.slice/docker-0123abcd.scope\n":                      "docker",
		"12:pids:/docker/0123abcd\n":                                    "docker",
		"0::/kubepods.slice/kubepods-pod1.slice/cri-containerd-x.scope": "kubepods",
		"0::/machine.slice/libpod-77.scope/container\n":                 "libpod",
	} {
		if got := containerOfCgroup(cgroup); got != want {
			t.Errorf("%q: %q, want %q", cgroup, got, want)
		}
	}
}

func TestParseStatus(t *testing.T) {
	p, n, s := parseStatus([]byte("Name:\tx\nCapEff:\t0000000000081000\nSeccomp:\t2\n"))
	if !p || !n || !s {
		t.Error(p, n, s)
	}
	p, n, s = parseStatus([]byte("CapEff:\tzz\nSeccomp:\t0\nrubbish"))
	if p || n || s {
		t.Error(p, n, s)
	}
}
