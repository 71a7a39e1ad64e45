package firewall

import (
	"path"
	"strings"

	"lifeline/probes/boot/command"
	"lifeline/probes/boot/systemd"
)

// scheduled takes what timers and cron execute: after the network is up.
func (p *planner) scheduled() {
	for _, j := range p.boot.Started() {
		if strings.HasSuffix(j.Unit.Name, ".timer") {
			p.timer(j)
		}
	}
	if p.boot.Starts("cron.service") || p.boot.Starts("crond.service") {
		p.cron()
	}
}

// timer takes the service that a timer starts (systemd.timer(5)).
func (p *planner) timer(j systemd.Job) {
	service := strings.TrimSuffix(j.Unit.Name, ".timer") + ".service"
	if s, ok := j.Unit.Get("Timer", "Unit"); ok {
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
