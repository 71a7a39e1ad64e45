package preboot

import (
	"fmt"
	"slices"
	"strings"

	"lifeline/probes/boot"
	"lifeline/probes/boot/firewall"
	"lifeline/probes/boot/remark"
	"lifeline/probes/iptables"
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
