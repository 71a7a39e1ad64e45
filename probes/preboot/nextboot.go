package preboot

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"lifeline/probes/boot"
	"lifeline/probes/boot/firewall"
	"lifeline/probes/boot/remark"
	"lifeline/probes/iptables"
	"lifeline/watchdog/printable"
)

// checkBoot answers for the next boot of a root: each question for every order in which
// that boot may load its rules, and what else bears on whether management gets in.
func (c checker) checkBoot(ctx context.Context, o Options) (Report, error) {
	r := newReport()
	r.NotChecked = notCheckedAtBoot
	g, made, err := c.prepare(o, &r)
	if err != nil || g == nil {
		return r, err
	}
	r.Assumptions = append(append(r.Assumptions, made.open...), g.assumptions(made.questions)...)
	r.Verdict, r.Reason = Safe, "the next boot lets management in"
	for _, q := range made.questions {
		if err := c.checkQuestion(ctx, g, q, &r); err != nil {
			return r, err
		}
	}
	for _, a := range r.Assumptions {
		r.worsen(Unknown, a.Why)
	}
	if len(made.questions) == 0 {
		r.worsen(Unknown, "there was no question to answer")
	}
	return r, ctx.Err()
}

// notCheckedAtBoot is what safe does not mean where the boot was followed.
var notCheckedAtBoot = []string{"disk passphrase", "devices of fstab", "logins (accounts, PAM, directories)", "firewalls upstream", "programs that change rules later (docker, fail2ban, kube-proxy)"}

// worsen makes a report's verdict another one, if that is worse.
func (r *Report) worsen(v Verdict, why string) {
	if r.Verdict == Safe && v != Safe || v == Unsafe && r.Verdict == Unknown {
		r.Verdict, r.Reason = v, why
	}
}

// checkQuestion answers one question for the boot.
func (c checker) checkQuestion(ctx context.Context, g *gathered, q question, r *Report) error {
	root := filepath.Clean(g.options.Root)
	b, err := boot.Read(root, boot.Question{Link: q.Iface, Addresses: q.Dst, Ports: q.Ports})
	if err != nil {
		return usagef("root: %w", err)
	}
	lang := firewall.IPTables
	if q.Family == iptables.IPv6 {
		lang = firewall.IP6Tables
	}
	orders, all := b.Orders(lang)
	if !all {
		b.Remarks.Add(remark.Opaque, "manager-order-undefined", "the boot may load its rules in more orders than are looked at")
	}
	if len(orders) > 1 {
		b.Remarks.Add(remark.Missed, "manager-order-undefined",
			fmt.Sprintf("nothing orders %s: which of them loads its rules last is not determined", strings.Join(starters(orders[0]), " and ")), starters(orders[0])...)
	}
	q = q.withBackend(orders, g.options.Backend)
	noteSaveOnStop(b, lang)
	worst := c.ask(ctx, g, q, b, orders)
	r.Questions = append(r.Questions, worst.Questions...)
	r.Checks = append(r.Checks, worst.Checks...)
	for _, f := range worst.Files {
		if !slices.Contains(r.Files, f) {
			r.Files = append(r.Files, f)
		}
	}
	r.Notes = append(r.Notes, missingFrom(r.Notes, worst.Notes)...)
	r.take(root, b, worst)
	return nil
}

// withBackend is the question for the back end of the rules that the boot loads first,
// unless one is asked about.
func (q question) withBackend(orders [][]firewall.Load, given iptables.Backend) question {
	if given != "" {
		return q
	}
	how := "back end: that of this machine, for the boot loads no rules by one"
	for _, l := range orders[0] {
		if l.Backend != firewall.Unknown {
			q.Backend, how = iptables.Backend(l.Backend), fmt.Sprintf("back end: that of %s in the root", l.Starter)
			break
		}
	}
	q.how = append(slices.Clone(q.how[:len(q.how)-1]), how)
	return q
}

// noteSaveOnStop tells of files that an orderly reboot writes anew: the rules that run then
// are not known.
func noteSaveOnStop(b *boot.Boot, lang firewall.Language) {
	for _, s := range b.Plan.SaveOnStop {
		if s.Language == lang {
			b.Remarks.Add(remark.Opaque, "save-on-stop",
				fmt.Sprintf("an orderly reboot saves the rules that run into %s first (%s): those are not looked at", s.File, s.Setting), s.File, s.Setting)
		}
	}
}

func starters(loads []firewall.Load) []string {
	var out []string
	for _, l := range loads {
		if !slices.Contains(out, l.Starter) {
			out = append(out, l.Starter)
		}
	}
	return out
}

// ask answers a question for each order, and gives the worst answer.
func (c checker) ask(ctx context.Context, g *gathered, q question, b *boot.Boot, orders [][]firewall.Load) Report {
	var worst *Report
	for _, o := range orders {
		one := c.askOrder(ctx, g, q, b, o)
		if worst == nil || rank[one.Verdict] > rank[worst.Verdict] {
			worst = &one
		}
	}
	return *worst
}

var rank = map[Verdict]int{Safe: 0, Unknown: 1, Unsafe: 2}

// askOrder answers a question for one order of loads. Where a file cannot be loaded that
// has a fallback, the fallback is loaded in its place.
func (c checker) askOrder(ctx context.Context, g *gathered, q question, b *boot.Boot, loads []firewall.Load) Report {
	r := c.inquire(ctx, g, q, loads)
	for n, l := range loads {
		failed := slices.ContainsFunc(r.Files, func(f FileStatus) bool { return f.Load == iptables.LoadFails && l.Holds(f.Path) })
		switch {
		case !failed:
		case l.Fallback != nil:
			loads = slices.Clone(loads)
			loads[n].Parts, loads[n].Fallback = []firewall.Part{*l.Fallback}, nil
			with := c.askOrder(ctx, g, q, b, loads)
			with.worsen(Unknown, fmt.Sprintf("%s does not load, and %s is loaded in its place", l.Parts[0].File, l.Fallback.File))
			with.Notes = append(with.Notes, fmt.Sprintf("%s does not load: %s is the fallback", l.Parts[0].File, l.Fallback.File))
			return with
		case l.Failure == firewall.NoNetwork:
			r.worsen(Unsafe, fmt.Sprintf("%s does not load, and %s does not configure the link then", l.Parts[0].File, l.Starter))
		}
	}
	return r
}

// inquire asks both engines with the files of one order.
func (c checker) inquire(ctx context.Context, g *gathered, q question, loads []firewall.Load) Report {
	r := newReport()
	with := *g
	with.files = bootFiles(q, loads)
	r.Questions = append(r.Questions, Asked{q.Family, q.Backend, q.Iface, q.Dst, q.Ports, q.Mgmt, q.how})
	i := inquiry{gathered: &with, questions: []question{q}, report: &r}
	i.run(ctx, c.testbeds(false))
	conclude(&r)
	if r.Verdict == Unsafe {
		r.Reason += culprit(r.Checks, with.files)
	}
	for _, f := range with.files {
		if f.IsTables() && f.Concerns(q.Family) && !hasTable(f.Text) {
			r.worsen(Unknown, f.Path+" holds no table: it is loaded, and nothing is filtered by it")
		}
	}
	return r
}

// culprit is the line that drops, as it stands in its file.
func culprit(checks []CheckResult, files []*bootFile) string {
	for _, c := range checks {
		if c.Verdict != iptables.Blocked || len(c.Trace) == 0 {
			continue
		}
		last := c.Trace[len(c.Trace)-1]
		for _, f := range files {
			if lines := bytes.Split(f.Text, []byte("\n")); f.Path == last.File && last.Line > 0 && last.Line <= len(lines) {
				return printable.Sprintf(" by %s:%d: %s", last.File, last.Line, string(bytes.TrimSpace(lines[last.Line-1])))
			}
		}
	}
	return ""
}
