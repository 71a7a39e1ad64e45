package confinement

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

func TestExplain(t *testing.T) {
	root := Confinement{ptrace: true, netAdmin: true, release: "6.1.0"}
	with := func(f func(*Confinement)) Confinement { c := root; f(&c); return c }
	cases := []struct {
		c    Confinement
		err  error
		want string
	}{
		{root, nil, ""},
		{root, syscall.EPERM, "unknown"},
		{with(func(c *Confinement) { c.yama = "3" }), syscall.EPERM, "ptrace_scope = 3"},
		{with(func(c *Confinement) { c.ptrace = false; c.container = "docker" }), syscall.EPERM, "container (docker) has no CAP_SYS_PTRACE"},
		{with(func(c *Confinement) { c.ptrace = false }), syscall.EPERM, "CapabilityBoundingSet="},
		{with(func(c *Confinement) { c.apparmor = "lifeline (enforce)" }), syscall.EACCES, `AppArmor profile "lifeline (enforce)"`},
		{with(func(c *Confinement) { c.selinux = "system_u:system_r:init_t:s0" }), syscall.EPERM, "SELinux is enforcing"},
		{with(func(c *Confinement) { c.seccomp = true }), syscall.EPERM, "seccomp"},
		{with(func(c *Confinement) { c.seccomp = true }), syscall.ENOSYS, "seccomp"},
		{with(func(c *Confinement) { c.netAdmin = false }), syscall.EPERM, "CAP_NET_ADMIN"},
		{with(func(c *Confinement) { c.release = "4.18.0-553.el8" }), syscall.ENOSYS, "kernel 4.18.0-553.el8 lacks the call"},
		{root, errors.New("odd"), "odd"},
	}
	for _, c := range cases {
		got := ""
		if err := c.c.Explain(c.err); err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
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
