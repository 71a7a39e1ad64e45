package firewall

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"lifeline/probes/boot/command"
	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/systemd"
)

// notStarted looks for what somebody meant to be loaded and the boot does not start: a
// manager whose rules are there, and units of the administrator's own.
func (p *planner) notStarted() {
	for _, name := range p.boot.Units() {
		j := p.boot.Job(name)
		if j.Unit.Name != name || !strings.HasSuffix(name, ".service") || j.State == systemd.Starts || j.State == systemd.Doubtful {
			continue
		}
		p.missedUnit(j)
	}
	for _, file := range systemd.RCLocal {
		if st, err := p.tree.Stat(file); err == nil && !st.Executable() {
			p.missedScript(file, file+" is not executable, and so not executed")
		}
	}
}

// missedUnit takes a unit that does not start.
func (p *planner) missedUnit(j systemd.Job) {
	rules := p.rulesOf(j.Unit.Name)
	own := strings.HasPrefix(j.Unit.File, "/etc/systemd/") && p.loads(j.Unit)
	_, manager := knownUnits[j.Unit.Name]
	fails := manager && j.State == systemd.Fails // for want of its rules
	if len(rules) == 0 && !own && !fails || p.loadedBy(j.Unit) {
		return
	}
	names := append(slices.Clone(j.Names), j.Unit.Name)
	names = append(names, rules...)
	text := j.Why
	if len(rules) > 0 {
		text = fmt.Sprintf("%s: %s is not loaded", j.Why, strings.Join(rules, ", "))
	}
	switch j.State {
	case systemd.Dropped:
		p.Remarks.Add(remark.Note, "manager-conflict-loser", text, names...)
	case systemd.Masked:
		p.Remarks.Add(remark.Missed, "unit-masked", text, names...)
	case systemd.Fails, systemd.Skipped:
		p.Remarks.Add(remark.Missed, "unit-skipped", text, names...)
	case systemd.Missing:
	default:
		p.Remarks.Add(remark.Missed, "unit-not-started", text, names...)
	}
}

// rulesOf are the files that a manager's unit would load, where there are any. Those that
// packages bring along and that nobody has enabled do not count.
func (p *planner) rulesOf(unit string) []string {
	var out []string
	for _, f := range map[string][]string{
		"netfilter-persistent.service": {"/etc/iptables/rules.v4", "/etc/iptables/rules.v6"},
		"iptables.service":             {rhelRules}, "ip6tables.service": {rhelRules6},
	}[unit] {
		if p.exists(f) {
			out = append(out, f)
		}
	}
	if unit == "ufw.service" {
		if values, _ := p.settings(ufwConf); isYes(values["ENABLED"]) {
			out = append(out, "/etc/ufw/user.rules")
		}
	}
	j := p.boot.Job(unit)
	for _, f := range []string{"/etc/nftables.conf", "/etc/sysconfig/nftables.conf"} {
		if unit == "nftables.service" && (j.State != systemd.Out || len(j.Names) > 1) && p.exists(f) {
			out = append(out, f)
		}
	}
	return out
}

// loads tells whether a unit's commands change the packet filter.
func (p *planner) loads(u *systemd.Unit) bool {
	for _, e := range p.boot.Commands(u, "ExecStart") {
		if len(command.Exec(p.tree, e.Argv)) > 0 {
			return true
		}
	}
	return false
}

// loadedBy tells whether something else starts a unit: a timer or a path.
func (p *planner) loadedBy(u *systemd.Unit) bool {
	base := strings.TrimSuffix(u.Name, path.Ext(u.Name))
	return p.boot.Starts(base+".timer") || p.boot.Starts(base+".path") || strings.Contains(u.Name, "@.")
}
