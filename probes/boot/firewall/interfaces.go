package firewall

import (
	"fmt"
	"path"
	"strings"

	"lifeline/probes/boot/command"
	"lifeline/probes/boot/ifupdown"
	"lifeline/probes/boot/remark"
)

// interfaces takes the commands that ifup(8) executes for the link: those of
// interfaces(5), and the scripts of if-*.d. One that fails before the link is up leaves it
// unconfigured; one after that leaves the address.
func (p *planner) interfaces() {
	if !p.boot.Starts("networking.service") && !p.boot.Starts("ifup@"+p.link+".service") {
		return
	}
	conf := ifupdown.Read(p.tree)
	if len(conf.Of(p.link)) == 0 {
		return
	}
	by := starter{name: "ifup " + p.link, unit: "networking.service", file: ifupdown.File, late: true}
	for _, phase := range []struct {
		options []string
		dir     string
		vital   bool
	}{
		{[]string{"pre-up"}, "/etc/network/if-pre-up.d", true},
		{[]string{"up", "post-up"}, "/etc/network/if-up.d", false},
	} {
		by.vital = phase.vital
		for _, o := range conf.Options(p.link, phase.options...) {
			for _, e := range command.Shell(p.tree, o.Value, o.File, o.Line) {
				p.effect(e, by)
			}
			p.vitalScript(o, by)
		}
		p.hooks(phase.dir, by)
	}
	p.savedOnDown(conf)
}

// hooks are the scripts that run-parts(8) executes for each link.
func (p *planner) hooks(dir string, by starter) {
	names, err := p.tree.ReadDir(dir)
	if err != nil {
		return
	}
	for _, n := range names {
		file := path.Join(dir, n)
		st, err := p.tree.Stat(file)
		if err != nil || !ifupdown.RunParts.MatchString(n) || !st.Executable() {
			if err == nil && st.Mode.IsRegular() {
				p.missedScript(file, fmt.Sprintf("%s is not executed: its name or its mode is not one that run-parts takes", file))
			}
			continue
		}
		by.file = file
		for _, e := range command.Exec(p.tree, []string{file}) {
			p.effect(e, by)
		}
	}
}

// missedScript tells of a script that would change the packet filter and is not executed.
func (p *planner) missedScript(file, text string) {
	for _, e := range command.Shell(p.tree, "/bin/sh "+file, file, 1) {
		if e.Kind != command.Manager || e.Tool != "" {
			p.Remarks.Add(remark.Missed, "loader-not-executable", text, file)
			return
		}
	}
}

// vitalScript tells of a command of pre-up that the tree does not have: it fails.
func (p *planner) vitalScript(o ifupdown.Option, by starter) {
	words := strings.Fields(o.Value)
	if !by.vital || len(words) == 0 || !path.IsAbs(words[0]) || strings.ContainsAny(o.Value, "|;&") {
		return
	}
	if ok, err := p.tree.Exists(words[0]); err == nil && !ok {
		p.Remarks.Add(remark.Cut, "loader-failure-stops-network",
			fmt.Sprintf("%s line %d: %s is missing, so that pre-up fails and the link is not configured", o.File, o.Line, words[0]), o.File, words[0])
	}
}

// savedOnDown finds iptables-save in what is executed when the link goes down.
func (p *planner) savedOnDown(conf *ifupdown.Interfaces) {
	for _, o := range conf.Options(p.link, "down", "pre-down", "post-down") {
		tool, file, ok := strings.Cut(o.Value, ">")
		if !ok || !strings.Contains(tool, "tables-save") {
			continue
		}
		s := SaveOnStop{File: strings.TrimSpace(strings.TrimLeft(file, "> ")), Setting: fmt.Sprintf("%s line %d", o.File, o.Line)}
		if strings.Contains(tool, "ip6tables-save") {
			s.Language = IP6Tables
		}
		p.SaveOnStop = append(p.SaveOnStop, s)
	}
}
