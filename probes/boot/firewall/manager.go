package firewall

import (
	"fmt"
	"path"
	"regexp"
	"slices"

	"lifeline/probes/boot/command"
	"lifeline/probes/boot/ifupdown"
	"lifeline/probes/boot/remark"
)

// manager takes a firewall manager that is started.
func (p *planner) manager(l Load, e command.Effect, by starter) {
	switch e.Tool {
	case "netfilter-persistent":
		p.netfilterPersistent(l, by)
	case "ufw-init":
		p.ufw(l, by)
	case "iptables.init", "ip6tables.init":
		p.iptablesServices(l, by)
	case "ipset.start-stop":
		p.ipsetService(l, by)
	default:
		names := append(l.Names, managerFiles[e.Tool]...)
		if e.Tool == "firewalld" {
			names = append(names, p.zone()...)
		}
		p.Remarks.Add(remark.Opaque, "loader-not-understood",
			fmt.Sprintf("%s starts %s, whose rules are not understood here", by.name, e.Tool), names...)
	}
}

// managerFiles are the files that managers read which are found and not understood.
var managerFiles = map[string][]string{
	"ferm": {"/etc/ferm/ferm.conf"}, "shorewall": {"/etc/shorewall"}, "shorewall6": {"/etc/shorewall6"}, "csf": {"/etc/csf/csf.conf"},
	"arno-iptables-firewall": {"/etc/arno-iptables-firewall/firewall.conf"}, "firewalld": {"/etc/firewalld", "/usr/lib/firewalld"},
}

const (
	persistentDefault = "/etc/default/netfilter-persistent"
	persistentPlugins = "/usr/share/netfilter-persistent/plugins.d"
)

// netfilterPersistent takes the plugins of Debian's netfilter-persistent(8), which load
// /etc/iptables/rules.v4 and others.
func (p *planner) netfilterPersistent(l Load, by starter) {
	values, plain := p.settings(persistentDefault)
	if !plain {
		p.Remarks.Add(remark.Opaque, "loader-not-understood", persistentDefault+" does more than set variables", persistentDefault)
	}
	names, err := p.tree.ReadDir(persistentPlugins)
	if err != nil {
		p.Remarks.Add(remark.Missed, "plugin-missing", fmt.Sprintf("%s has no plugins: it loads nothing", by.name), persistentPlugins)
		return
	}
	if !slices.Contains(names, "10-ipset") {
		p.setsMissing("/etc/iptables/ipsets")
	}
	for _, n := range names {
		plugin := path.Join(persistentPlugins, n)
		st, err := p.tree.Stat(plugin)
		if err != nil || !ifupdown.RunParts.MatchString(n) {
			continue
		}
		p.plugin(l, by, n, plugin, st.Executable(), values)
	}
}

// plugin takes one plugin of netfilter-persistent.
func (p *planner) plugin(l Load, by starter, name, file string, executable bool, values map[string]string) {
	l.Names = append(l.Names[:len(l.Names):len(l.Names)], file)
	var tool, rules, test, keep string
	switch name {
	case "10-ipset":
		tool, rules, l.Language = "ipset", "/etc/iptables/ipsets", IPSets
	case "15-ip4tables":
		tool, rules, test, keep, l.Language = "iptables-restore", "/etc/iptables/rules.v4", "IPTABLES_TEST_RULESET", "IPTABLES_RESTORE_NOFLUSH", IPTables
	case "25-ip6tables":
		tool, rules, test, keep, l.Language = "ip6tables-restore", "/etc/iptables/rules.v6", "IP6TABLES_TEST_RULESET", "IP6TABLES_RESTORE_NOFLUSH", IP6Tables
	case "40-ipset":
		return // flushes only
	default:
		if executable {
			for _, e := range command.Exec(p.tree, []string{file, "start"}) {
				p.effect(e, by)
			}
		}
		return
	}
	there := p.exists(rules)
	switch {
	case !executable && there:
		p.Remarks.Add(remark.Missed, "plugin-not-executable", fmt.Sprintf("%s is not executable: %s does not load %s", file, by.name, rules), file, rules, by.name)
		return
	case !executable:
		return
	case !there && l.Language == IPSets, !there && l.Language == IP6Tables:
		if _, err := p.tree.Lstat(rules); err == nil {
			break // it leads nowhere
		}
		if l.Language == IPSets {
			p.setsMissing(rules)
		}
		return // nobody saved any
	}
	if l.Language != IPSets {
		l.Backend = p.backend(tool)
		l.TestFirst, l.Flush = isYes(values[test]), !isYes(values[keep])
	}
	p.file(l, rules, by)
}

// setsMissing tells of rules that look up sets, where the file of the sets is missing.
func (p *planner) setsMissing(sets string) {
	for _, rules := range []string{"/etc/iptables/rules.v4", "/etc/iptables/rules.v6"} {
		text, _ := p.read(rules)
		if m := looksUpSet.FindSubmatch(text); m != nil {
			p.Remarks.Add(remark.Note, "ipset-missing",
				fmt.Sprintf("%s looks up the set %s, and %s is missing: unless something else makes the set, the rules do not load", rules, m[1], sets),
				rules, string(m[1]), sets)
		}
	}
}

// looksUpSet matches the set of a rule.
var looksUpSet = regexp.MustCompile(`--match-set[ \t]+"?([^ \t"]+)`)

const (
	rhelRules  = "/etc/sysconfig/iptables"
	rhelRules6 = "/etc/sysconfig/ip6tables"
)

// iptablesServices takes the start scripts of RHEL's iptables-services.
func (p *planner) iptablesServices(l Load, by starter) {
	rules, tool := rhelRules, "iptables-restore"
	if l.Manager == "ip6tables.init" {
		rules, tool, l.Language = rhelRules6, "ip6tables-restore", IP6Tables
	}
	l.Backend = p.backend(tool)
	l.Flush = true
	l.Names = append(l.Names, rules)
	prefix := map[Language]string{IPTables: "IPTABLES", IP6Tables: "IP6TABLES"}[l.Language]
	values, plain := p.settings(rules + "-config")
	if !plain {
		p.Remarks.Add(remark.Opaque, "loader-not-understood", rules+"-config does more than set variables", rules+"-config")
	}
	part, ok := p.part(rules, by, l.Names)
	if !ok {
		return
	}
	l.Parts = []Part{part}
	if text, ok := p.read(rules + ".fallback"); ok {
		l.Fallback = &Part{File: rules + ".fallback", Text: text}
	}
	if isYes(values[prefix+"_SAVE_ON_STOP"]) {
		p.SaveOnStop = append(p.SaveOnStop, SaveOnStop{Language: l.Language, File: rules, Setting: prefix + "_SAVE_ON_STOP"})
	}
	p.Loads = append(p.Loads, l)
}

// ipsetService takes RHEL's ipset-service: the single files, and then the one of all.
func (p *planner) ipsetService(l Load, by starter) {
	l.Language = IPSets
	dir := "/etc/sysconfig/ipset.d"
	if names, err := p.tree.ReadDir(dir); err == nil {
		for _, n := range names {
			if path.Ext(n) == ".set" {
				p.file(l, path.Join(dir, n), by)
			}
		}
	}
	if p.exists("/etc/sysconfig/ipset") {
		p.file(l, "/etc/sysconfig/ipset", by)
	}
}
