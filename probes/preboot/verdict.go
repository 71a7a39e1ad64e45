package preboot

import (
	"fmt"
	"slices"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
	"lifeline/watchdog/printable"
)

// settledByRehearsal are the assumptions that a rehearsal settles: the scratch namespace
// is in them what the machine will be. Behind any other (a rate, an hour, a MAC
// address, a program that is asked) a connection may be turned away here and
// let in there.
var settledByRehearsal = []string{
	"nftables", "arptables", "budget", "load", "order", "parser", "addrtype", "mark", "conntrack state", "conntrack entry",
	"nat", "translated address", "translated port", "translated source", "source-port",
}

// conclude puts the verdict and its reason into a report whose checks are
// complete: the first reason of the worst kind counts, unsafe before unknown.
func conclude(r *Report) {
	r.Verdict, r.Reason = Safe, "the rules let management in"
	worse := func(v Verdict, why string) {
		if r.Verdict == Safe || v == Unsafe && r.Verdict == Unknown {
			r.Verdict, r.Reason = v, why
		}
	}
	if len(r.Questions) == 0 && len(r.Assumptions) == 0 {
		worse(Unknown, "there was no question to answer")
	}
	for _, q := range r.Questions {
		analysis, rehearsal := r.checksOf(q)
		if v, why := questionVerdict(analysis, rehearsal); v != Safe {
			worse(v, why)
		}
		if r.Verdict == Safe && rehearsal != nil && rehearsal.Verdict == "" {
			r.Reason = "the analysis lets management in, and it stands alone: " + rehearsal.Summary
		}
	}
	for _, f := range r.Files {
		if f.Load != iptables.LoadOK {
			worse(Unknown, fmt.Sprintf("%s %s", f.Path, loadWords(f.Load, f.Error)))
		}
	}
	for _, a := range r.Assumptions {
		worse(Unknown, a.Why)
	}
	r.Reason = printable.String(r.Reason) // it goes into logs, alerts and terminals
}

// checksOf are the checks of one question; nil of an engine that was not asked.
func (r *Report) checksOf(q Asked) (analysis, rehearsal *CheckResult) {
	for i, c := range r.Checks {
		switch {
		case c.Family != q.Family || c.Iface != q.Iface:
		case c.Name == Analysis:
			analysis = &r.Checks[i]
		default:
			rehearsal = &r.Checks[i]
		}
	}
	return analysis, rehearsal
}

// questionVerdict gives the verdict of one question.
func questionVerdict(analysis, rehearsal *CheckResult) (Verdict, string) {
	if rehearsal != nil && analysis != nil {
		if p, ok := contradiction(*rehearsal); ok {
			return Unknown, fmt.Sprintf("the engines disagree: the analysis says %s of %s, the rehearsal got %q", p.Expect, p, p.Result)
		}
	}
	if analysis != nil && analysis.Verdict == iptables.Blocked {
		return Unsafe, fmt.Sprintf("%s: management%s is locked out", familyLink(*analysis), partly(analysis.Scope))
	}
	if rehearsal != nil && rehearsal.Verdict == iptables.Blocked {
		why := fmt.Sprintf("%s: in the rehearsal management%s is locked out", familyLink(*rehearsal), partly(rehearsal.Scope))
		if analysis == nil {
			return Unsafe, why
		}
		if a, open := firstUnsettled(analysis.Assumptions); open {
			return Unknown, why + ", which may differ on the machine itself: " + firstWhy([]iptables.Assumption{a})
		}
		return Unsafe, why
	}
	if analysis == nil {
		return Unknown, "only the rehearsal was asked, and it shows samples, not the whole question"
	}
	if analysis.Load != iptables.LoadOK {
		return Unknown, fmt.Sprintf("%s: the rules file %s", familyLink(*analysis), loadWords(analysis.Load, analysis.LoadError))
	}
	if analysis.Verdict != iptables.Allowed {
		return Unknown, fmt.Sprintf("%s: it depends: %s", familyLink(*analysis), firstWhy(analysis.Assumptions))
	}
	return Safe, ""
}

// contradiction finds a connection that one engine lets in and the other does
// not. The narrow hop is left out: the analysis warns of it beside its verdict.
func contradiction(rehearsal CheckResult) (ProbeResult, bool) {
	for _, p := range rehearsal.Probes {
		in := p.Result == sandbox.Established
		if p.Via != viaNarrow && p.Result != sandbox.NotTried && (p.Expect == iptables.Allowed && !in || p.Expect == iptables.Blocked && in) {
			return p, true
		}
	}
	return ProbeResult{}, false
}

// firstUnsettled finds an assumption that a rehearsal says nothing about.
func firstUnsettled(list []iptables.Assumption) (iptables.Assumption, bool) {
	i := slices.IndexFunc(list, func(a iptables.Assumption) bool { return !slices.Contains(settledByRehearsal, a.Name) })
	if i < 0 {
		return iptables.Assumption{}, false
	}
	return list[i], true
}

func familyLink(c CheckResult) string { return fmt.Sprintf("IPv%d on %s", c.Family, c.Iface) }

func partly(s iptables.Scope) string {
	if s == iptables.ScopePart {
		return " from a part of its sources"
	}
	return ""
}

func loadWords(l iptables.Load, why string) string {
	words := "may or may not load"
	if l == iptables.LoadFails {
		words = "does not load"
	}
	if why != "" {
		words += ": " + why
	}
	return words
}

func firstWhy(list []iptables.Assumption) string {
	if len(list) == 0 {
		return "on what the files do not say"
	}
	a := list[0]
	if a.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", a.File, a.Line, a.Why)
	}
	return a.Why
}

func (p ProbeResult) String() string {
	return fmt.Sprintf("%s -> %s", netipPort(p.Src, p.SPort), netipPort(p.Dst, p.Port))
}
