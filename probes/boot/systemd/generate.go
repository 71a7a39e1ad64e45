package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"lifeline/probes/boot/rootfs"
)

// generatorDirs are where generators of a tree are found (systemd.generator(7)).
var generatorDirs = []string{
	"/etc/systemd/system-generators", "/usr/local/lib/systemd/system-generators",
	"/lib/systemd/system-generators", "/usr/lib/systemd/system-generators",
}

// known are generators whose units are modelled here or by who asks, or that make none
// which start a program of their own.
var known = []string{
	"systemd-sysv-generator", "systemd-rc-local-generator", "systemd-fstab-generator", "netplan", "sshd-socket-generator",
	"systemd-cryptsetup-generator", "systemd-debug-generator", "systemd-getty-generator", "systemd-gpt-auto-generator",
	"systemd-hibernate-resume-generator", "systemd-integritysetup-generator", "systemd-run-generator",
	"systemd-system-update-generator", "systemd-veritysetup-generator", "systemd-bless-boot-generator",
	"systemd-ssh-generator", "systemd-tpm2-generator", "systemd-import-generator", "systemd-factory-reset-generator",
	"systemd-storagetm-generator", "lvm2-activation-generator", "lvm2", "zram-generator", "selinux-autorelabel-generator.sh",
	"kdump-dep-generator.sh", "anaconda-generator", "cloud-init-generator", "ds-identify", "snapd-generator", "friendly-recovery",
	"openvpn-generator", "postgresql-generator", "coreos-liveiso-autologin-generator", "podman-system-generator", "ostree-system-generator",
}

// generated is what the generators of a tree add.
type generated struct {
	units  map[string]string // the text by the unit's name
	links  map[string][]edge
	doubts []Doubt
}

// lateDir is where generators write units that any other of the name hides.
const lateDir = "/run/systemd/generator.late/"

func (g *generated) files() map[string]string {
	out := map[string]string{}
	for name := range g.units {
		out[name] = lateDir + name
	}
	return out
}

func (g *generated) texts() map[string]string {
	out := map[string]string{}
	for name, text := range g.units {
		out[lateDir+name] = text
	}
	return out
}

func (g *generated) pull(target, name, through string) {
	g.links[target] = append(g.links[target], edge{name: name, through: through})
}

// generate is what the generators of the tree would make of it.
func generate(t *rootfs.Tree) (*generated, error) {
	g := &generated{units: map[string]string{}, links: map[string][]edge{}}
	files, err := t.FirstByName(generatorDirs, "")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if !slices.Contains(known, path.Base(f)) && !masked(t, f) {
			g.doubts = append(g.doubts, Doubt{f, "a generator that is not known here may start or change units"})
		}
	}
	if err := g.sysv(t); err != nil {
		return nil, err
	}
	return g, g.rcLocal(t)
}

func masked(t *rootfs.Tree, file string) bool {
	target, err := t.Resolve(file)
	if err != nil {
		return false
	}
	null, err := isNull(t, target)
	return err == nil && null
}

// runlevels are the directories whose links start an init script, and the target that
// each stands for (systemd-sysv-generator(8)); rcS.d is not among them.
var runlevels = []struct{ dir, target string }{
	{"rc2.d", "multi-user.target"}, {"rc3.d", "multi-user.target"}, {"rc4.d", "multi-user.target"}, {"rc5.d", "graphical.target"},
}

// sysv makes a unit of each init script that is linked in a runlevel and for which
// there is no native unit.
func (g *generated) sysv(t *rootfs.Tree) error {
	dir := "/etc/init.d"
	names, err := t.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		script := path.Join(dir, n)
		st, err := t.Stat(script)
		if err != nil || !st.Executable() {
			continue
		}
		unit := strings.TrimSuffix(n, ".sh") + ".service"
		g.units[unit] = fmt.Sprintf("[Unit]\nSourcePath=%s\nAfter=network-online.target remote-fs.target\nWants=network-online.target\n"+
			"[Service]\nType=forking\nRemainAfterExit=yes\nExecStart=%s start\n", script, script)
		if err := g.runlevelLinks(t, n, unit); err != nil {
			return err
		}
	}
	return nil
}

func (g *generated) runlevelLinks(t *rootfs.Tree, script, unit string) error {
	for _, r := range runlevels {
		for _, base := range []string{"/etc", "/etc/rc.d"} {
			dir := path.Join(base, r.dir)
			links, err := t.ReadDir(dir)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return err
			}
			for _, l := range links {
				if len(l) > 3 && l[0] == 'S' && l[3:] == script {
					g.pull(r.target, unit, path.Join(dir, l))
				}
			}
		}
	}
	return nil
}

// RCLocal are the paths at which distributions keep the local start script
// (systemd-rc-local-generator(8)).
var RCLocal = []string{"/etc/rc.local", "/etc/rc.d/rc.local"}

// rcLocal pulls in the unit of the local start script, if that may be executed.
func (g *generated) rcLocal(t *rootfs.Tree) error {
	for _, file := range RCLocal {
		st, err := t.Stat(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return err
		case st.Executable():
			g.pull("multi-user.target", "rc-local.service", file)
			return nil
		}
	}
	return nil
}
