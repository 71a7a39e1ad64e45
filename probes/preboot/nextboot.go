package preboot

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"lifeline/probes/boot"
	"lifeline/probes/boot/firewall"
	"lifeline/probes/boot/remark"
	"lifeline/probes/iptables"
	"lifeline/probes/preboot/savedrules"
	"lifeline/watchdog/printable"
)

// BootReport is what the next boot of a root does, as far as management depends on it.
type BootReport struct {
	Root   string `json:"root"`
	Target string `json:"target"`
	// Steps are what it does, in its order: a unit, what it loads or opens, and how that
	// bears on the answer.
	Steps []BootStep `json:"steps"`
	// Remarks are what was found beside.
	Remarks []BootRemark `json:"remarks"`
}

// BootStep is one step of a boot: a unit or what stands for one, and what it leads to.
type BootStep struct {
	Unit   string   `json:"unit"`
	Does   string   `json:"does"`
	Status Status   `json:"status"`
	Names  []string `json:"names"`
}

// BootRemark is a finding of a boot.
type BootRemark struct {
	Status Status `json:"status"`
	// Cause is a short word that scripts may match, as "file-missing".
	Cause string `json:"cause"`
	Text  string `json:"text"`
	// Names are the files, units and settings that it rests on.
	Names []string `json:"names"`
}

// checkBoot answers for the next boot of a root: each question for every order in which
// that boot may load its rules, and what else bears on whether management gets in.
func (c checker) checkBoot(ctx context.Context, o Options) (Report, error) {
	r := newReport()
	r.NotChecked = notCheckedAtBoot
	g, err := c.gather(o)
	var wrong *UsageError
	switch {
	case errors.As(err, &wrong):
		return r, err
	case err != nil:
		r.Verdict, r.Reason = Unknown, err.Error()
		return r, nil
	}
	made, err := g.resolve()
	if err != nil {
		return r, err
	}
	r.Notes = append(r.Notes, g.notes...)
	r.LeftOut = append(append(r.LeftOut, made.leftOut...), g.leftOut...)
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

// bootFiles are the files of an order as the engines take them. What nft's flush of all
// tables removes is left out.
func bootFiles(q question, loads []firewall.Load) []*bootFile {
	var out []*bootFile
	for _, l := range loads {
		role := roleOf(q, l)
		if l.Language == firewall.NFTables && flushes(l) {
			out = slices.DeleteFunc(out, func(f *bootFile) bool { return onNFT(q, f) })
		}
		for n, p := range l.Parts {
			var includes []savedrules.Include
			for _, i := range l.Includes {
				includes = append(includes, savedrules.Include{Path: i.File, Text: i.Text})
			}
			f := savedrules.FromText(role, cmp.Or(p.File, fmt.Sprintf("(%s, part %d)", l.Manager, n+1)), p.Text, includes)
			f.NoFlush = f.IsTables() && (n > 0 || !l.Flush)
			out = append(out, &bootFile{File: f, refused: f.Refused})
		}
	}
	return out
}

func roleOf(q question, l firewall.Load) string {
	other := l.Backend != firewall.Unknown && iptables.Backend(l.Backend) != q.Backend
	switch {
	case l.Language == firewall.NFTables:
		return savedrules.RoleNFT
	case l.Language == firewall.IPSets:
		return savedrules.RoleIPSets
	case l.Language == firewall.IPTables && other:
		return savedrules.RoleOther4
	case l.Language == firewall.IPTables:
		return savedrules.RoleRules4
	case other:
		return savedrules.RoleOther6
	}
	return savedrules.RoleRules6
}

// flushes tells whether an nft file removes all that stands.
func flushes(l firewall.Load) bool {
	for _, p := range slices.Concat(l.Parts, l.Includes) {
		if bytes.Contains(p.Text, []byte("flush ruleset")) {
			return true
		}
	}
	return false
}

// onNFT tells whether a file's rules stand in nftables, where its flush reaches them.
func onNFT(q question, f *bootFile) bool {
	switch f.Role {
	case savedrules.RoleNFT:
		return true
	case savedrules.RoleRules4, savedrules.RoleRules6:
		return q.Backend == iptables.NFT
	case savedrules.RoleOther4, savedrules.RoleOther6:
		return q.Backend != iptables.NFT
	}
	return false
}

// take puts what the boot does, and what the engines say of it, into the report.
func (r *Report) take(root string, b *boot.Boot, worst Report) {
	if r.Boot == nil {
		r.Boot = &BootReport{Root: root, Target: b.Target, Steps: []BootStep{}, Remarks: []BootRemark{}}
	}
	for _, s := range bootSteps(b, worst.Files) {
		if !slices.ContainsFunc(r.Boot.Steps, func(x BootStep) bool { return x.Unit == s.Unit && x.Does == s.Does }) {
			r.Boot.Steps = append(r.Boot.Steps, s)
		}
	}
	statuses := map[remark.Kind]Status{remark.Note: OK, remark.Missed: Unclear, remark.Opaque: Unclear, remark.Cut: Fail}
	verdicts := map[remark.Kind]Verdict{remark.Note: Safe, remark.Missed: Unknown, remark.Opaque: Unknown, remark.Cut: Unsafe}
	for _, m := range b.Remarks {
		r.worsen(verdicts[m.Kind], m.Text)
		if slices.ContainsFunc(r.Boot.Remarks, func(x BootRemark) bool { return x.Text == m.Text }) {
			continue
		}
		r.Boot.Remarks = append(r.Boot.Remarks, BootRemark{statuses[m.Kind], m.Cause, m.Text, append([]string{}, m.Names...)})
	}
	r.worsen(worst.Verdict, worst.Reason)
}

// bootSteps are the steps of a boot that management depends on.
func bootSteps(b *boot.Boot, files []FileStatus) []BootStep {
	var out []BootStep
	for _, l := range b.Plan.Loads {
		s := BootStep{Unit: l.Starter, Status: OK, Names: append([]string{}, l.Names...)}
		var paths []string
		for _, p := range l.Parts {
			if p.File == "" {
				continue
			}
			paths = append(paths, p.File)
			for _, f := range files {
				if f.Path == p.File && f.Load != iptables.LoadOK {
					s.Status = Unclear
				}
			}
		}
		s.Does = "loads " + strings.Join(paths, ", ")
		if l.Backend != firewall.Unknown {
			s.Does += fmt.Sprintf(" (%s)", l.Backend)
		}
		if l.Late {
			s.Does += ", when the network is up already"
		}
		out = append(out, s)
	}
	for _, p := range b.Net.Profiles {
		out = append(out, BootStep{Unit: p.Manager, Does: fmt.Sprintf("configures the link by %s: %s", p.File, describeAddresses(p.Addresses, p.Dynamic)), Status: OK, Names: append([]string{}, p.Names...)})
	}
	for _, l := range b.SSHD.Listens {
		out = append(out, BootStep{Unit: b.SSHD.Unit, Does: "listens on " + l.At.String(), Status: OK, Names: append([]string{}, l.Names...)})
	}
	return out
}

func describeAddresses[T fmt.Stringer](list []T, dynamic bool) string {
	words := join(list)
	switch {
	case dynamic && words != "":
		return words + " and what it is given"
	case dynamic:
		return "what it is given"
	}
	return words
}
