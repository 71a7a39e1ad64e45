package preboot

import (
	"fmt"
	"slices"

	"lifeline/probes/iptables"
	"lifeline/probes/iptables/rules"
	"lifeline/probes/preboot/savedrules"
)

// answer puts the checks of one question into the report.
func (i *inquiry) answer(q question) {
	result := i.analyse(q)
	from := "parser"
	for _, f := range i.files {
		if f.IsRules() && f.Concerns(q.Family) && f.asked {
			from = "tool"
		}
	}
	i.adoptLoads(q, &result)
	var known *iptables.Result
	if i.options.runs(Analysis) {
		known = &result
		i.report.Checks = append(i.report.Checks, i.analysisCheck(q, result, from))
	}
	if i.options.runs(Rehearsal) {
		c := CheckResult{Name: Rehearsal, Family: q.Family, Iface: q.Iface, Load: result.Load, LoadError: result.LoadError, LoadFrom: from}
		if err := i.rehearsable(q); err != nil {
			c.Status, c.Summary = Unclear, "no rehearsal was possible: "+err.Error()
		} else {
			i.rehearse(q, known, &c)
			i.renew(q)
		}
		i.report.Checks = append(i.report.Checks, c)
	}
}

// rehearsable is an error where there is no testbed that is what the machine will be
// after the boot.
func (i *inquiry) rehearsable(q question) error {
	if i.testbed == nil {
		return i.noTestbed
	}
	for _, f := range i.files {
		if !f.Concerns(q.Family) || f.asked && i.loadOf(f) != iptables.LoadUnknown {
			continue
		}
		if f.said.Message == "" {
			return fmt.Errorf("%s could not be loaded here as the boot may load it", f.Path)
		}
		return fmt.Errorf("%s could not be loaded here as the boot may load it: %s", f.Path, f.said.Message)
	}
	return nil
}

// loadOf is the load of a file, as far as the tools or the analysis know it.
func (i *inquiry) loadOf(f *bootFile) iptables.Load {
	if f.IsRules() {
		return f.said.Load
	}
	if f.Role == savedrules.RoleIPSets && !f.asked {
		if _, err := rules.ParseIPSets(f.Path, f.Text); err == nil {
			return iptables.LoadOK
		}
	}
	return f.said.Told(iptables.LoadOK).Load
}

// analyse asks the analysis, with the tools' word on the load where it counts.
func (i *inquiry) analyse(q question) iptables.Result {
	parser := iptables.LoadOK
	for _, f := range i.files {
		if f.Concerns(q.Family) && f.said.Doubtful {
			bare := i.inputs(q.Family, parser)
			for n := range bare.Rules {
				bare.Rules[n].Told = iptables.Told{}
			}
			parser = iptables.Analyse(q.Question, bare).Load
			break
		}
	}
	return iptables.Analyse(q.Question, i.inputs(q.Family, parser))
}

// adoptLoads gives the rule files of a family the load that the analysis
// found, and the analysis the tool's words where it has none.
func (i *inquiry) adoptLoads(q question, r *iptables.Result) {
	for _, f := range i.files {
		if !f.IsRules() || !f.Concerns(q.Family) {
			continue
		}
		if !f.asked || f.said.Doubtful {
			f.said.Load = r.Load
			if r.LoadError != "" {
				f.said.Message = r.LoadError
			}
		}
		if r.LoadError == "" && r.Load != iptables.LoadOK {
			r.LoadError = f.said.Message
		}
	}
}

// inputs are the files of one family, as the analysis takes them; parser is
// what the parser alone thinks of the rules' load.
func (i *inquiry) inputs(f iptables.Family, parser iptables.Load) iptables.Inputs {
	in := iptables.Inputs{Names: i.names}
	for _, rf := range i.files {
		if !rf.Concerns(f) {
			continue
		}
		file := iptables.File{Name: rf.Path, Text: rf.Text, NoFlush: rf.NoFlush, Withheld: rf.Withheld}
		if rf.asked || rf.refused != nil {
			file.Told = rf.said.Told(parser)
		}
		switch rf.Role {
		case savedrules.RoleRules4, savedrules.RoleRules6:
			in.Rules = append(in.Rules, file)
		case savedrules.RoleOther4, savedrules.RoleOther6:
			in.Other = append(in.Other, file)
		case savedrules.RoleIPSets:
			in.IPSets = &file
		case savedrules.RoleNFT:
			in.NFT = append(in.NFT, file)
		case savedrules.RoleARP:
			in.ARP = &file
		}
	}
	return in
}

// analysisCheck is the report's form of a result, with what would let management in.
func (i *inquiry) analysisCheck(q question, r iptables.Result, from string) CheckResult {
	c := CheckResult{
		Name: Analysis, Family: q.Family, Iface: q.Iface, Load: r.Load, LoadError: r.LoadError, LoadFrom: from,
		Verdict: r.Verdict, Scope: r.Scope, Counterexample: r.Counterexample, Trace: r.Trace,
		Assumptions: r.Assumptions, Warnings: r.Warnings,
	}
	fixes := i.fixesFor(q, r)
	c.Fixes = fixes.list
	if w := fixes.warning(); w != "" {
		c.Warnings = append(slices.Clone(c.Warnings), w)
	}
	switch {
	case r.Verdict == iptables.Blocked:
		c.Status, c.Summary = Fail, "locked out"+partly(r.Scope)
		if r.Counterexample != nil {
			c.Summary = fmt.Sprintf("dropped: %s", r.Counterexample)
		}
	case r.Load != iptables.LoadOK:
		c.Status, c.Summary = Unclear, loadWords(r.Load, r.LoadError)
	case r.Verdict == iptables.Allowed:
		c.Status, c.Summary = OK, "every packet of the question passes"
	default:
		c.Status, c.Summary = Unclear, "it depends: "+firstWhy(r.Assumptions)
	}
	return c
}
