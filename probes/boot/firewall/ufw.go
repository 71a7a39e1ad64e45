package firewall

import (
	"fmt"
	"strings"

	"lifeline/probes/boot/command"
	"lifeline/probes/boot/remark"
)

const (
	ufwDefault = "/etc/default/ufw"
	ufwConf    = "/etc/ufw/ufw.conf"
)

// ufw takes what ufw-init(8) loads: chains of its own, before.rules, after.rules and
// user.rules, each restored for itself behind what stands, and the policies last. A file
// that does not load is left out, and the policies are set all the same: it fails closed.
func (p *planner) ufw(l Load, by starter) {
	for _, f := range []string{ufwDefault, ufwConf} {
		if text, ok := p.read(f); !ok || len(text) == 0 {
			p.Remarks.Add(remark.Missed, "file-missing", fmt.Sprintf("%s is missing or empty: ufw-init gives up and loads nothing", f), f, by.name)
			return
		}
	}
	values, plain := p.settings(ufwDefault, ufwConf)
	if !plain {
		p.Remarks.Add(remark.Opaque, "loader-not-understood", ufwDefault+" or "+ufwConf+" does more than set variables", ufwDefault, ufwConf)
	}
	if !isYes(values["ENABLED"]) {
		p.Remarks.Add(remark.Note, "manager-off", fmt.Sprintf("ufw is off: %s has %s, and ufw-init loads nothing", ufwConf, p.assigned(ufwConf, "ENABLED")),
			ufwConf, p.assigned(ufwConf, "ENABLED"), by.name)
		return
	}
	l.Manager, l.Failure = "ufw", Closed
	l.Names = append(l.Names, ufwDefault, ufwConf)
	p.ufwHook("/etc/ufw/before.init", by)
	if isYes(values["IPV6"]) {
		p.ufwFamily(l, IP6Tables, values)
	} else {
		p.ufwClosed6(l)
	}
	p.ufwFamily(l, IPTables, values)
	p.ufwHook("/etc/ufw/after.init", by)
}

func (p *planner) ufwHook(file string, by starter) {
	if st, err := p.tree.Stat(file); err == nil && st.Executable() {
		for _, e := range command.Exec(p.tree, []string{file, "start"}) {
			p.effect(e, by)
		}
	}
}

// ufwClosed6 is what ufw-init does for IPv6 where its configuration says IPV6=no: nothing
// but loopback passes.
func (p *planner) ufwClosed6(l Load) {
	l.Language, l.Flush = IP6Tables, true
	l.Backend = p.backend("ip6tables-restore")
	l.Names = append(l.Names[:len(l.Names):len(l.Names)], p.assigned(ufwDefault, "IPV6"))
	l.Parts = []Part{{Text: []byte("*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n" +
		"-A INPUT -i lo -j ACCEPT\n-A OUTPUT -o lo -j ACCEPT\nCOMMIT\n")}}
	p.Loads = append(p.Loads, l)
}

// ufwFamily are the parts that are restored for one family.
func (p *planner) ufwFamily(l Load, lang Language, values map[string]string) {
	suffix, tool := "", "iptables-restore"
	if lang == IP6Tables {
		suffix, tool = "6", "ip6tables-restore"
	}
	l.Language = lang
	l.Backend = p.backend(tool)
	u := ufwChains{prefix: "ufw" + suffix, policy: map[string]string{
		"input": values["DEFAULT_INPUT_POLICY"], "output": values["DEFAULT_OUTPUT_POLICY"], "forward": values["DEFAULT_FORWARD_POLICY"],
	}}
	l.Names = append(l.Names[:len(l.Names):len(l.Names)], p.assigned(ufwDefault, "DEFAULT_INPUT_POLICY"))
	if isYes(values["MANAGE_BUILTINS"]) {
		l.Flush = true
		l.Parts = append(l.Parts, Part{Text: []byte(emptyTables)})
	}
	l.Parts = append(l.Parts, u.primary()...)
	user := "/etc/ufw/user" + suffix + ".rules"
	for _, f := range []string{"/etc/ufw/before" + suffix + ".rules", "/etc/ufw/after" + suffix + ".rules", user} {
		l.Names = append(l.Names, f)
		text, ok := p.read(f)
		if !ok || len(text) == 0 {
			p.Remarks.Add(remark.Missed, "file-missing", f+" is missing or empty: ufw goes on without it", f)
			continue
		}
		if f == user {
			l.Parts = append(l.Parts, u.user(), Part{File: f, Text: text}, u.hooks())
			continue
		}
		l.Parts = append(l.Parts, Part{File: f, Text: text})
	}
	l.Parts = append(l.Parts, u.policies())
	p.Loads = append(p.Loads, l)
}

// emptyTables is what flushing the built-in chains leaves.
const emptyTables = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n" +
	"*mangle\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n" +
	"*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\nCOMMIT\n"

// ufwChains makes the texts of ufw's own chains (ufw-init-functions of ufw 0.36.2).
type ufwChains struct {
	prefix string            // "ufw" or "ufw6"
	policy map[string]string // by direction: ACCEPT, DROP or REJECT
}

var ufwDirections = []string{"input", "output", "forward"}

// filter is a text of the filter table that declares chains and appends rules.
func filter(chains, rules []string) Part {
	var b strings.Builder
	b.WriteString("*filter\n")
	for _, c := range chains {
		fmt.Fprintf(&b, ":%s - [0:0]\n", c)
	}
	for _, r := range rules {
		b.WriteString("-A " + r + "\n")
	}
	b.WriteString("COMMIT\n")
	return Part{Text: []byte(b.String())}
}

// primary are the chains that the built-in ones lead to, in that order, with what the
// default policies add, and the secondary ones.
func (u ufwChains) primary() []Part {
	var chains, rules, skips, skipRules []string
	var more []Part
	for _, d := range ufwDirections {
		for _, stage := range []string{"before-logging", "before", "after", "after-logging", "reject", "track"} {
			c := fmt.Sprintf("%s-%s-%s", u.prefix, stage, d)
			chains = append(chains, c)
			rules = append(rules, strings.ToUpper(d)+" -j "+c)
		}
		switch u.policy[d] {
		case "REJECT":
			more = append(more, filter(nil, []string{fmt.Sprintf("%s-reject-%s -j REJECT", u.prefix, d)}))
		case "ACCEPT":
			track := fmt.Sprintf("%s-track-%s -p %%s -m conntrack --ctstate NEW -j ACCEPT", u.prefix, d)
			more = append(more, filter(nil, []string{fmt.Sprintf(track, "tcp"), fmt.Sprintf(track, "udp")}))
		}
		skip := fmt.Sprintf("%s-skip-to-policy-%s", u.prefix, d)
		skips = append(skips, skip)
		skipRules = append(skipRules, skip+" -j "+u.policy[d])
	}
	out := append([]Part{filter(chains, rules)}, more...)
	out = append(out, filter([]string{u.prefix + "-logging-deny", u.prefix + "-logging-allow"}, nil))
	return append(out, filter(skips, skipRules))
}

// user are the chains that user.rules fills.
func (u ufwChains) user() Part {
	var chains []string
	for _, d := range ufwDirections {
		chains = append(chains, u.prefix+"-user-"+d, u.prefix+"-user-logging-"+d)
	}
	return filter(append(chains, u.prefix+"-user-limit", u.prefix+"-user-limit-accept"), nil)
}

// hooks lead to the chains of user.rules.
func (u ufwChains) hooks() Part {
	var rules []string
	for _, d := range ufwDirections {
		rules = append(rules, fmt.Sprintf("%s-before-%s -j %s-user-%s", u.prefix, d, u.prefix, d))
	}
	return filter(nil, rules)
}

// policies are set last. What rejects by a chain drops by its policy.
func (u ufwChains) policies() Part {
	var b strings.Builder
	b.WriteString("*filter\n")
	for _, d := range []string{"input", "forward", "output"} {
		policy := u.policy[d]
		if policy == "REJECT" {
			policy = "DROP"
		}
		fmt.Fprintf(&b, ":%s %s [0:0]\n", strings.ToUpper(d), policy)
	}
	b.WriteString("COMMIT\n")
	return Part{Text: []byte(b.String())}
}
