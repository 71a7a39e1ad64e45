package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// programDirs are the top-level directories that programs and their libraries
// live in; nothing else of the host's file tree is visible to a tool.
var programDirs = []string{"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "nix", "gnu"}

// tableFiles are what the tools and the C library resolve names with. No
// resolv.conf: at boot there is no DNS either.
var tableFiles = []string{
	"services", "protocols", "passwd", "group", "hosts", "host.conf", "networks", "nsswitch.conf", "ethertypes",
	"ld.so.cache", "localtime", "pf.os", "xtables.conf", "alternatives", "xtables", "iproute2", "nftables",
}

// enterRoot replaces the root of the calling process by a read-only one that
// holds programs, name tables and the given files only, with an empty
// writable /run, where the tools keep their lock. It needs a mount namespace
// of its own.
func enterRoot(files []File) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	base, err := newBase()
	if err != nil {
		return err
	}
	for _, d := range programDirs {
		if err := show("/"+d, filepath.Join(base, d)); err != nil {
			return err
		}
	}
	for _, dir := range []string{"etc", "run", "proc"} {
		if err := os.Mkdir(filepath.Join(base, dir), 0o755); err != nil {
			return err
		}
	}
	for _, f := range tableFiles {
		if err := show("/etc/"+f, filepath.Join(base, "etc", f)); err != nil {
			return err
		}
	}
	// Sealed before anything is written below base: what is bound there is
	// still the host's own.
	if err := sealBelow(base); err != nil {
		return err
	}
	if err := writeFiles(base, files); err != nil {
		return err
	}
	if err := mountScratch(base); err != nil {
		return err
	}
	return pivot(base)
}

// newBase mounts an empty tmpfs for the new root, at a path that no mount of
// the host lies at or below.
func newBase() (string, error) {
	for _, d := range []string{"/run", "/tmp", "/mnt", "/var"} {
		if st, err := os.Lstat(d); err != nil || !st.IsDir() {
			continue
		}
		base := d + "/.lifeline-rehearsal"
		for _, dir := range []string{d, base} {
			if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=64m,nr_inodes=8192,mode=755"); err != nil {
				return "", fmt.Errorf("mount tmpfs on %s: %w", dir, err)
			}
			if dir == d {
				if err := os.Mkdir(base, 0o755); err != nil {
					return "", err
				}
			}
		}
		return base, nil
	}
	return "", errors.New("no directory to mount the scratch root on")
}

// show makes a file, directory or symbolic link of the host visible at dst;
// what the host does not have is left out.
func show(src, dst string) error {
	st, err := os.Lstat(src)
	if err != nil {
		return nil // the tools live without it, as they do on the host
	}
	switch {
	case st.Mode()&os.ModeSymlink != 0 && filepath.Dir(src) == "/":
		target, err := os.Readlink(src)
		if err != nil {
			return err
		}
		return os.Symlink(target, dst)
	case st.Mode()&os.ModeSymlink != 0:
		if st, err = os.Stat(src); err != nil {
			return nil // a dangling link shows nothing
		}
	}
	if st.IsDir() {
		err = os.Mkdir(dst, 0o755)
	} else {
		err = os.WriteFile(dst, nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(src, dst, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", src, err)
	}
	return nil
}

// writeFiles puts files into the new root. A path that leads through what is
// bound there is covered by a directory of our own first.
func writeFiles(base string, files []File) error {
	covered := map[string]bool{}
	for _, f := range files {
		path := filepath.Clean("/" + f.Path)
		dir := filepath.Dir(path)
		if err := os.MkdirAll(base+dir, 0o755); err != nil {
			return fmt.Errorf("include %s: %w", f.Path, err)
		}
		if boundInto(dir) && !covered[dir] {
			if err := unix.Mount("tmpfs", base+dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "size=64m,mode=755"); err != nil {
				return fmt.Errorf("include %s: %w", f.Path, err)
			}
			covered[dir] = true
		}
		if err := os.WriteFile(base+path, f.Text, 0o644); err != nil {
			return fmt.Errorf("include %s: %w", f.Path, err)
		}
	}
	return nil
}

// boundInto reports whether a directory of the new root is the host's own.
func boundInto(dir string) bool {
	for _, d := range programDirs {
		if dir == "/"+d || strings.HasPrefix(dir, "/"+d+"/") {
			return true
		}
	}
	for _, d := range tableFiles {
		if dir == "/etc/"+d || strings.HasPrefix(dir, "/etc/"+d+"/") {
			return true
		}
	}
	return false
}

// sealBelow makes every mount below base (not base itself) read-only and free
// of devices and set-user-id programs.
func sealBelow(base string) error {
	mounts, err := mountsBelow(base)
	if err != nil {
		return err
	}
	for _, m := range mounts {
		if m == base {
			continue
		}
		if err := remountReadOnly(m); err != nil {
			return err
		}
	}
	return nil
}

// mountScratch adds the two mounts that tools need and closes the rest.
func mountScratch(base string) error {
	if err := sealBelow(base); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", base+"/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "size=1m,nr_inodes=64,mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs on /run: %w", err)
	}
	// Where the kernel does not let us mount it (a container that masks parts
	// of /proc), the tools do without.
	_ = unix.Mount("proc", base+"/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "")
	return remountReadOnly(base)
}

// remountReadOnly keeps what a user namespace may not clear; without an
// access-time flag the kernel keeps that setting by itself.
func remountReadOnly(path string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return fmt.Errorf("statfs %s: %w", path, err)
	}
	flags := uintptr(st.Flags)&unix.MS_NOEXEC | unix.MS_REMOUNT | unix.MS_BIND | unix.MS_RDONLY | unix.MS_NOSUID | unix.MS_NODEV
	if err := unix.Mount("", path, "", flags, ""); err != nil {
		return fmt.Errorf("remount %s read-only: %w", path, err)
	}
	return nil
}

// mountsBelow lists the mount points at and below base, from
// /proc/self/mountinfo (proc_pid_mountinfo(5)).
func mountsBelow(base string) ([]string, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		if m := unescapeMount(f[4]); m == base || strings.HasPrefix(m, base+"/") {
			out = append(out, m)
		}
	}
	return out, nil
}

var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

func unescapeMount(s string) string { return mountEscapes.Replace(s) }

// pivot makes base the root and lets go of the old one.
func pivot(base string) error {
	if err := os.Chdir(base); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("pivot root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("let go of the old root: %w", err)
	}
	return os.Chdir("/")
}
