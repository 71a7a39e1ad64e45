package firewall

import (
	"fmt"
	"strings"

	"lifeline/probes/boot/command"
	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/systemd"
)

// starter is what executes a command at boot.
type starter struct {
	name string // as it is told
	unit string // the unit whose order it has, "" for none
	file string // where the command is written
	late bool
	// through is the link or the setting by which the boot comes to it.
	through string
	// hidden tells whether the starter's sandbox hides a file, and by which setting.
	hidden func(file string) (systemd.Setting, bool)
	// vital tells that a failure leaves the link unconfigured.
	vital bool
}

// units takes the commands of all units that the boot starts.
func (p *planner) units() {
	for _, j := range p.boot.Started() {
		if !strings.HasSuffix(j.Unit.Name, ".service") {
			continue
		}
		p.unit(j, starter{name: j.Unit.Name, unit: j.Unit.Name, late: !p.beforeNetwork(j.Unit.Name)})
	}
}

// beforeNetwork tells whether a unit is done before links are configured.
func (p *planner) beforeNetwork(unit string) bool {
	return p.boot.Before(unit, "network-pre.target") || p.boot.Before(unit, "network.target") || p.boot.Before(unit, "networking.service")
}

// unit takes the commands of one unit, started by the boot or by a timer.
func (p *planner) unit(j systemd.Job, by starter) {
	u := j.Unit
	by.file, by.hidden, by.through = u.File, u.Hidden, j.Through
	found := false
	for _, key := range []string{"ExecStartPre", "ExecStart", "ExecStartPost"} {
		for _, e := range p.boot.Commands(u, key) {
			effects := command.Exec(p.tree, e.Argv)
			for _, f := range effects {
				f.Conditional = f.Conditional || !e.Known
				by.file = e.At.File
				p.effect(f, by)
			}
			found = found || len(effects) > 0
		}
	}
	if found && j.State == systemd.Doubtful {
		p.Remarks.Add(remark.Opaque, "unit-doubtful", j.Why, append(j.Names, u.Name)...)
	}
	if name, known := knownUnits[u.Name]; known && !found {
		p.overridden(j, name)
	}
}

// knownUnits are units that start a manager whose program is known.
var knownUnits = map[string]string{
	"netfilter-persistent.service": "netfilter-persistent", "nftables.service": "nft", "ufw.service": "ufw-init",
	"iptables.service": "iptables.init", "ip6tables.service": "ip6tables.init", "firewalld.service": "firewalld",
}

// overridden tells of a unit that has the name of a manager's and does not start it.
func (p *planner) overridden(j systemd.Job, program string) {
	text := fmt.Sprintf("%s does not start %s", j.Unit.Name, program)
	names := []string{j.Unit.Name, j.Unit.File}
	for _, e := range p.boot.Commands(j.Unit, "ExecStart") {
		text += fmt.Sprintf(": %s has ExecStart=%s", e.At.File, e.At.Value)
		names = append(names, e.At.File, e.At.Value)
	}
	p.Remarks.Add(remark.Missed, "unit-overridden", text, names...)
}

// effect takes what a command does.
func (p *planner) effect(e command.Effect, by starter) {
	names := []string{by.name, by.file}
	if by.through != "" {
		names = append(names, by.through)
	}
	if e.Script != "" {
		names = append(names, e.Script)
	}
	switch {
	case e.TestOnly:
		return
	case e.Conditional:
		p.Remarks.Add(remark.Opaque, "loader-not-understood",
			fmt.Sprintf("%s may execute %q (%s): whether it does is not known", by.name, e.Text, e.At()), append(names, e.Text)...)
		return
	}
	l := Load{Starter: by.name, Manager: e.Tool, Late: by.late, Names: names, unit: by.unit}
	if by.vital && e.Fatal {
		l.Failure = NoNetwork
	}
	switch e.Kind {
	case command.Restore:
		l.Language = IPTables
		if strings.HasPrefix(e.Tool, "ip6") {
			l.Language = IP6Tables
		}
		l.Backend = p.backend(e.Tool)
		l.Flush = !e.NoFlush
		p.file(l, e.File, by)
	case command.Nft:
		l.Language = NFTables
		p.nft(l, e.File, by)
	case command.IPSet:
		l.Language = IPSets
		p.file(l, e.File, by)
	case command.Manager:
		p.manager(l, e, by)
	default:
		p.Remarks.Add(remark.Opaque, "loader-not-understood",
			fmt.Sprintf("%s executes %q (%s), which changes the packet filter in a way that is not understood", by.name, e.Text, e.At()),
			append(names, strings.Fields(e.Text)...)...)
	}
}

// file adds a load of one file.
func (p *planner) file(l Load, name string, by starter) {
	l.Names = append(l.Names, name)
	part, ok := p.part(name, by, l.Names)
	if !ok && l.Failure == NoNetwork {
		p.Remarks.Add(remark.Cut, "loader-failure-stops-network",
			fmt.Sprintf("%s cannot load %s, which is missing, and does not configure the link then", by.name, name), l.Names...)
	}
	if ok {
		l.Parts = []Part{part}
		p.Loads = append(p.Loads, l)
	}
}

// part is a file that a starter loads, where the starter finds one.
func (p *planner) part(name string, by starter, names []string) (Part, bool) {
	if s, hidden := by.hides(name); hidden {
		p.Remarks.Add(remark.Missed, "include-protecthome",
			fmt.Sprintf("%s does not see %s: %s=%s hides it from the unit", by.name, name, s.Key, s.Value),
			append(names, name, s.Key)...)
		return Part{}, false
	}
	text, err := p.tree.ReadFile(name)
	if err == nil {
		return Part{File: name, Text: text}, true
	}
	target, rerr := p.tree.Resolve(name)
	switch link, lerr := p.tree.Readlink(name); {
	case lerr == nil && rerr == nil:
		p.Remarks.Add(remark.Missed, "file-dangling", fmt.Sprintf("%s leads to %s, which is missing: %s loads nothing of it", name, target, by.name),
			append(names, name, link)...)
	default:
		p.Remarks.Add(remark.Missed, "file-missing", fmt.Sprintf("%s is missing: %s loads nothing of it", name, by.name), append(names, name)...)
	}
	return Part{}, false
}

// hides tells whether the starter's sandbox hides a file.
func (s starter) hides(file string) (systemd.Setting, bool) {
	if s.hidden == nil {
		return systemd.Setting{}, false
	}
	return s.hidden(file)
}
