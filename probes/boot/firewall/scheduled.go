package firewall

import (
	"io/fs"
	"path"
	"strings"

	"lifeline/probes/boot/command"
	"lifeline/probes/boot/ifupdown"
	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/rootfs"
	"lifeline/probes/boot/systemd"
)

// scheduled takes what is executed when the network is up or later: by timers, by paths,
// by cron, and by what watches links.
func (p *planner) scheduled() {
	for _, j := range p.boot.Started() {
		for suffix, section := range map[string]string{".timer": "Timer", ".path": "Path"} {
			if strings.HasSuffix(j.Unit.Name, suffix) {
				p.activated(j, suffix, section)
			}
		}
	}
	if p.boot.Starts("cron.service") || p.boot.Starts("crond.service") {
		p.cron()
		for _, period := range []string{"hourly", "daily", "weekly", "monthly"} {
			p.scripts("cron", "/etc/cron."+period, runByRunParts)
		}
	}
	p.dispatchers()
	p.cloudInit()
}

// activated takes the service that a timer or a path starts (systemd.timer(5),
// systemd.path(5)).
func (p *planner) activated(j systemd.Job, suffix, section string) {
	service := strings.TrimSuffix(j.Unit.Name, suffix) + ".service"
	if s, ok := j.Unit.Get(section, "Unit"); ok {
		service = s.Value
	}
	if p.boot.Starts(service) {
		return // the boot starts it anyway
	}
	u := p.boot.Job(service)
	if u.Unit.Found() {
		p.unit(u, starter{name: j.Unit.Name, late: true})
	}
}

// cron takes the lines of crontabs, whenever they are due: what @reboot loads comes after
// the network, and what is due later comes later.
func (p *planner) cron() {
	files := map[string]bool{"/etc/crontab": true} // the value tells of a column with the user
	for _, dir := range []struct {
		path string
		user bool
	}{{"/etc/cron.d", true}, {"/var/spool/cron/crontabs", false}, {"/var/spool/cron", false}} {
		names, err := p.tree.ReadDir(dir.path)
		if err != nil {
			continue
		}
		for _, n := range names {
			if st, err := p.tree.Stat(path.Join(dir.path, n)); err == nil && st.Mode.IsRegular() && (!dir.user || !strings.Contains(n, ".")) {
				files[path.Join(dir.path, n)] = dir.user
			}
		}
	}
	for file, user := range files {
		text, ok := p.read(file)
		if !ok {
			continue
		}
		number := 0
		for line := range strings.Lines(string(text)) {
			number++
			p.cronLine(strings.TrimSpace(line), file, number, user)
		}
	}
}

// cronLine takes one line of crontab(5).
func (p *planner) cronLine(line, file string, number int, user bool) {
	columns := 5
	if strings.HasPrefix(line, "@") {
		columns = 1
	}
	if user {
		columns++
	}
	if line == "" || line[0] == '#' {
		return
	}
	for range columns {
		_, rest, ok := strings.Cut(strings.TrimLeft(line, " \t"), " ")
		if !ok {
			return // an assignment, or nothing to execute
		}
		line = strings.TrimLeft(rest, " \t")
	}
	by := starter{name: "cron", file: file, late: true}
	for _, e := range command.Shell(p.tree, line, file, number) {
		p.effect(e, by)
	}
}

// runByRunParts tells what run-parts(8) executes.
func runByRunParts(name string, st rootfs.Info) bool {
	return ifupdown.RunParts.MatchString(name) && st.Executable()
}

// runByDispatcher tells what NetworkManager and networkd-dispatcher execute: root's, which
// nobody else may write.
func runByDispatcher(_ string, st rootfs.Info) bool {
	return st.Executable() && st.UID == 0 && st.Mode.Perm()&0o022 == 0 && st.Mode&fs.ModeSetuid == 0
}

// scripts takes the scripts of a directory that somebody executes.
func (p *planner) scripts(by, dir string, runs func(name string, st rootfs.Info) bool) {
	names, err := p.tree.ReadDir(dir)
	if err != nil {
		return
	}
	for _, n := range names {
		file := path.Join(dir, n)
		if st, err := p.tree.Stat(file); err != nil || !st.Mode.IsRegular() || !runs(n, st) {
			continue
		}
		for _, e := range command.Exec(p.tree, []string{file}) {
			p.effect(e, starter{name: by, file: file, late: true})
		}
	}
}

// dispatchers takes the scripts that are executed when a link comes up.
func (p *planner) dispatchers() {
	if p.boot.Starts("NetworkManager.service") {
		for _, dir := range []string{"/etc/NetworkManager/dispatcher.d", "/etc/NetworkManager/dispatcher.d/pre-up.d", "/usr/lib/NetworkManager/dispatcher.d"} {
			p.scripts("NetworkManager.service", dir, runByDispatcher)
		}
	}
	if p.boot.Starts("networkd-dispatcher.service") {
		for _, base := range []string{"/etc/networkd-dispatcher", "/usr/lib/networkd-dispatcher"} {
			for _, state := range []string{"routable.d", "carrier.d", "configured.d", "degraded.d", "no-carrier.d", "off.d", "dormant.d"} {
				p.scripts("networkd-dispatcher.service", path.Join(base, state), runByDispatcher)
			}
		}
	}
}

// cloudInit takes the scripts that cloud-init executes at each boot; commands of its
// configuration that name a tool are not understood.
func (p *planner) cloudInit() {
	if !p.boot.Starts("cloud-final.service") && !p.boot.Starts("cloud-init.service") && !p.boot.Starts("cloud-init-main.service") {
		return
	}
	p.scripts("cloud-init", "/var/lib/cloud/scripts/per-boot", func(_ string, st rootfs.Info) bool { return st.Executable() })
	files := []string{"/etc/cloud/cloud.cfg"}
	names, _ := p.tree.ReadDir("/etc/cloud/cloud.cfg.d") // without the directory there are none
	for _, n := range names {
		files = append(files, path.Join("/etc/cloud/cloud.cfg.d", n))
	}
	for _, f := range files {
		if text, ok := p.read(f); ok && command.Mentions(string(text)) {
			p.Remarks.Add(remark.Opaque, "loader-not-understood", f+" names a tool of the packet filter: what cloud-init does with it is not understood", f)
		}
	}
}
