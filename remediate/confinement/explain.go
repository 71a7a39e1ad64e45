package confinement

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"lifeline/remediate/remedy"
	"lifeline/watchdog"
)

// Confinement is what may forbid Lifeline to reach other processes.
type Confinement struct {
	ptrace    bool   // CAP_SYS_PTRACE is effective
	netAdmin  bool   // CAP_NET_ADMIN is effective
	seccomp   bool   // a seccomp filter is in force
	userns    bool   // in a user namespace of its own
	yama      string // kernel.yama.ptrace_scope; "" without Yama
	apparmor  string // profile; "" when unconfined
	selinux   string // domain; "" when not enforcing
	container string // which kind; "" outside
	release   string // of the kernel
}

// Explain adds the likely cause to an error of pidfd_getfd or setsockopt.
func (c Confinement) Explain(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSYS) && c.seccomp:
		return fmt.Errorf("%w: the seccomp filter of this service or container hides the call, or kernel %s lacks it (pidfd_getfd came with Linux 5.6)", err, c.release)
	case errors.Is(err, syscall.ENOSYS):
		return fmt.Errorf("%w: kernel %s lacks the call (pidfd_getfd came with Linux 5.6)", err, c.release)
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w: likely cause: %s", err, strings.Join(c.causes(), "; "))
	}
	return err
}

// causes lists what may forbid, the likeliest first.
func (c Confinement) causes() []string {
	var out []string
	add := func(yes bool, format string, a ...any) {
		if yes {
			out = append(out, fmt.Sprintf(format, a...))
		}
	}
	add(c.yama == "3", "Yama forbids every attach (kernel.yama.ptrace_scope = 3, until a reboot)")
	add(!c.ptrace && c.container != "", "the container (%s) has no CAP_SYS_PTRACE: add it", c.container)
	add(!c.ptrace && c.container == "", "CAP_SYS_PTRACE is missing: run as root, or look at CapabilityBoundingSet= of the unit")
	add(c.userns, "in a user namespace: processes outside of it cannot be reached")
	add(c.apparmor != "", "AppArmor profile %q", c.apparmor)
	add(c.selinux != "", "SELinux is enforcing, domain %s (see: ausearch -m avc -c lifeline)", c.selinux)
	add(c.seccomp, "a seccomp filter (SystemCallFilter= of the unit, or of the container)")
	add(!c.netAdmin, "CAP_NET_ADMIN is missing")
	if len(out) == 0 {
		out = []string{"unknown: a security module?"}
	}
	return out
}

// Capability is the outcome of trying a remedy, with the likely cause of an error.
func (c Confinement) Capability(name string, err error) watchdog.Capability {
	return remedy.Capability(name, c.Explain(err))
}
