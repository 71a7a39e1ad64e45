package confinement

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Read looks at what may forbid us something.
func Read() Confinement {
	c := Confinement{container: Container(), release: kernelRelease()}
	if b, err := os.ReadFile("/proc/self/status"); err == nil {
		c.ptrace, c.netAdmin, c.seccomp = parseStatus(b)
	}
	if b, err := os.ReadFile("/proc/self/uid_map"); err == nil {
		c.userns = !wholeUIDMap(b)
	}
	c.yama = firstLine("/proc/sys/kernel/yama/ptrace_scope")
	if p := firstLine("/proc/self/attr/apparmor/current"); p != "unconfined" {
		c.apparmor = p
	}
	if firstLine("/sys/fs/selinux/enforce") == "1" {
		c.selinux = firstLine("/proc/self/attr/current")
	}
	return c
}

// firstLine is "" when there is no such file: the feature is absent.
func firstLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	line, _, _ := bytes.Cut(b, []byte{'\n'})
	return strings.TrimRight(string(line), "\x00 ")
}

// parseStatus reads effective capabilities and seccomp mode from
// /proc/PID/status (proc(5)).
func parseStatus(b []byte) (ptrace, netAdmin, seccomp bool) {
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "CapEff":
			caps, err := strconv.ParseUint(value, 16, 64)
			if err == nil {
				ptrace, netAdmin = caps&(1<<unix.CAP_SYS_PTRACE) != 0, caps&(1<<unix.CAP_NET_ADMIN) != 0
			}
		case "Seccomp":
			seccomp = value != "0"
		}
	}
	return ptrace, netAdmin, seccomp
}

// wholeUIDMap says whether /proc/self/uid_map is that of the first namespace.
func wholeUIDMap(b []byte) bool {
	f := strings.Fields(string(b))
	return len(f) == 3 && f[0] == "0" && f[1] == "0" && f[2] == "4294967295"
}

func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(u.Release[:])
}

// Inodes of the namespaces that the kernel makes first: include/linux/proc_ns.h
// and, for mounts before they had a fixed one, the first that is given out.
const (
	initialPIDNamespace = 0xEFFFFFFC
	initialMounts       = 0xEFFFFFF8
	initialMountsOld    = 0xF0000000
)

// ownsHost says whether this process is in the machine's first pid and mount
// namespaces: then no container engine ends it, whatever files an image that
// the machine was made of has left.
func ownsHost() bool {
	var pids, mounts unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &pids) != nil || unix.Stat("/proc/self/ns/mnt", &mounts) != nil {
		return false
	}
	return pids.Ino == initialPIDNamespace && (mounts.Ino == initialMounts || mounts.Ino == initialMountsOld)
}

// Container names the container that we run in; "" outside of one.
func Container() string {
	if ownsHost() {
		return ""
	}
	for path, kind := range map[string]string{"/.dockerenv": "docker", "/run/.containerenv": "podman"} {
		if _, err := os.Stat(path); err == nil {
			return kind
		}
	}
	// Set by systemd-nspawn, LXC and podman for the first process of a container.
	if b, err := os.ReadFile("/proc/1/environ"); err == nil {
		if kind := environValue(b, "container"); kind != "" {
			return kind
		}
	}
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		if kind := containerOfCgroup(string(b)); kind != "" {
			return kind
		}
	}
	return unnamedContainer()
}

// unnamedContainer knows the containers that say nothing of themselves, as
// those of containerd with a control group namespace: another pid namespace than
// the machine's, or, with the machine's, another file tree than that of its first
// process. What cannot be told counts as one.
func unnamedContainer() string {
	var pids, ours, first unix.Stat_t
	switch {
	case unix.Stat("/proc/self/ns/pid", &pids) != nil || pids.Ino != initialPIDNamespace:
		return "with a pid namespace of its own"
	case unix.Stat("/", &ours) != nil || unix.Stat("/proc/1/root", &first) != nil || ours.Dev != first.Dev || ours.Ino != first.Ino:
		return "with a file tree of its own"
	}
	return ""
}

func environValue(b []byte, name string) string {
	for kv := range bytes.SplitSeq(b, []byte{0}) {
		if v, ok := bytes.CutPrefix(kv, []byte(name+"=")); ok {
			return string(v)
		}
	}
	return ""
}

// containerOfCgroup knows the paths that container engines give.
func containerOfCgroup(cgroup string) string {
	for _, mark := range []string{"kubepods", "docker", "libpod", "crio", "containerd", "lxc"} {
		for part := range strings.SplitSeq(cgroup, "/") {
			if part == mark || strings.HasPrefix(part, mark+"-") || strings.HasPrefix(part, mark+".") {
				if !strings.HasSuffix(strings.TrimSpace(part), ".service") {
					return mark
				}
			}
		}
	}
	return ""
}
