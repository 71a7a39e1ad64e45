package preboot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"lifeline/probes/iptables"
	"lifeline/probes/iptables/kernelmem"
	"lifeline/probes/iptables/rules"
)

// stage is a scratch namespace that mirrors the machine.
type stage interface {
	// Stage builds the scene and loads its files.
	Stage(scene) ([]loaded, error)
	// Play tries connections, all at the same time.
	Play(traffic) ([]Outcome, error)
	// Renew asks whether IPv6 addresses and routes can be renewed.
	Renew(renewal) (renewed, error)
	// Close ends it; nothing stays behind.
	Close()
}

// stageOpener is one way to a stage.
type stageOpener struct {
	// ids says that every user id exists inside.
	ids  bool
	open func(context.Context) (stage, error)
}

// loadDeadline bounds each run of a tool. It is far beyond what 100,000 rules
// take, and a file that needs longer is not to be loaded at a boot either.
const loadDeadline = 20 * time.Second

// Check answers the question that o asks. Its only errors are of usage (a
// *UsageError) and of ctx; everything else that goes wrong is in the report,
// and makes it unknown.
func Check(ctx context.Context, o Options) (Report, error) {
	c := checker{machine: thisHost{}, now: time.Now, stages: waysToStage, root: "/", memory: kernelMemory()}
	return c.check(ctx, o)
}

func (c checker) check(ctx context.Context, o Options) (Report, error) {
	r := Report{Schema: Schema, NotChecked: notChecked, LeftOut: []string{}, Notes: []string{}, Checks: []CheckResult{}, Questions: []Asked{}, Files: []FileStatus{}, Assumptions: []iptables.Assumption{}}
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
	qs := made.questions
	r.Notes = append(r.Notes, g.notes...)
	r.LeftOut = append(append(r.LeftOut, made.leftOut...), g.leftOut...)
	for _, q := range qs {
		r.Questions = append(r.Questions, Asked{q.Family, q.Backend, q.Iface, q.Dst, q.Ports, q.Mgmt, q.how})
	}
	if len(qs) > 0 {
		run := inquiry{gathered: g, qs: qs, report: &r}
		run.all(ctx, c.stages(g.trusted()))
	}
	r.Assumptions = append(append(r.Assumptions, made.open...), g.assumptions(qs)...)
	if err := ctx.Err(); err != nil {
		return r, err
	}
	conclude(&r)
	if len(g.options.Mgmt) == 0 && len(g.seen) == 0 {
		r.Reason = "no management sources are known: name them, or log in by ssh once"
	}
	return r, nil
}

// inquiry answers the questions of one check.
type inquiry struct {
	*gathered
	qs     []question
	report *Report
	stage  stage
	// noStage says why there is no stage.
	noStage string
	ids     bool
	// broke: the child was killed.
	broke bool
}

func (i *inquiry) all(ctx context.Context, ways []stageOpener) {
	before := kernelModules()
	i.load(ctx, ways)
	if i.stage != nil {
		defer i.stage.Close()
	}
	for _, q := range i.qs {
		if ctx.Err() != nil {
			return // nobody waits for the answer any more
		}
		i.answer(q)
	}
	for _, f := range i.files {
		if !i.concern(f) {
			continue
		}
		i.report.Notes = append(i.report.Notes, f.notes...)
		i.report.Files = append(i.report.Files, FileStatus{Role: f.role, Path: f.path, Tool: f.tool, Load: i.loadOf(f), Error: f.said.message})
	}
	if now := missingFrom(before, kernelModules()); len(now) > 0 {
		i.report.Notes = append(i.report.Notes, "kernel modules that the tools had loaded: "+strings.Join(now, ", "))
	}
}

// concern reports whether a file matters to any of the questions.
func (i *inquiry) concern(f *ruleFile) bool {
	return slices.ContainsFunc(i.qs, func(q question) bool { return f.concerns(q.Family) })
}

// load opens a stage and lets the tools load the files there.
func (i *inquiry) load(ctx context.Context, ways []stageOpener) {
	sc, notes := newScene(i.host, i.qs)
	sc.Deadline = loadDeadline
	i.report.Notes = append(i.report.Notes, notes...)
	var files []*ruleFile
	wants := demand{sum: kernelmem.Demand{CPUs: runtime.NumCPU()}, most: i.memory}
	for _, f := range i.files {
		f.said = toolWord{load: iptables.LoadUnknown}
		if !i.concern(f) {
			continue
		}
		if f.refused == nil {
			f.refused = wants.add(f)
		}
		if f.refused != nil {
			f.said.message = f.refused.Error()
			i.noStage = f.refused.Error()
			continue
		}
		files = append(files, f)
		sc.Files = append(sc.Files, f.includes...)
		sc.Loads = append(sc.Loads, f.load(i.backend))
	}
	if i.noStage != "" {
		return
	}
	for _, w := range ways {
		s, err := w.open(ctx)
		if err == nil {
			var said []loaded
			if said, err = s.Stage(sc); err == nil && len(said) == len(sc.Loads) {
				i.stage, i.ids, i.noStage = s, w.ids, ""
				i.hear(files, said)
				i.noteUnbounded(s)
				return
			}
			s.Close()
		}
		if i.broken(err); i.broke {
			i.noStage = err.Error()
			return // the files would do the same again
		}
		if i.noStage == "" && err != nil {
			i.noStage = err.Error()
		}
	}
}

// noteUnbounded says so where only the sum of what the files ask for bounds the
// rehearsal's memory.
func (i *inquiry) noteUnbounded(s stage) {
	if p, ok := s.(interface{ Unbounded() string }); ok && p.Unbounded() != "" && len(i.files) > 0 {
		i.report.Notes = append(i.report.Notes, "no memory cgroup is around the rehearsal, only what the files ask for is summed up: "+p.Unbounded())
	}
}

// broken takes note of an error that tells that the child was killed: files that
// do that are not safe, whatever the analysis says.
func (i *inquiry) broken(err error) {
	var k killedError
	if !i.broke && errors.As(err, &k) {
		i.broke = true
		i.report.Assumptions = append(i.report.Assumptions, iptables.Assumption{Name: "rehearsal", Why: k.Error()})
	}
}

// hear takes what the tools said about the files.
func (i *inquiry) hear(files []*ruleFile, said []loaded) {
	doubt := false
	for n, f := range files {
		f.asked, f.tool = said[n].Tool != "", said[n].Tool
		f.said = understand(said[n], i.ids, i.here)
		if f.withheld {
			f.said = f.said.withheld(said[n], 1+bytes.Count(f.text, []byte("\n")))
		}
		// A set that could not be made here is missing to the rules that
		// follow, through no fault of theirs.
		f.said.doubtful = f.said.doubtful || doubt && f.said.load == iptables.LoadFails
		doubt = doubt || f.said.load == iptables.LoadUnknown
	}
}

// inputs are the files of one family, as the analysis takes them; parser is
// what the parser alone thinks of the rules' load.
func (i *inquiry) inputs(f iptables.Family, parser iptables.Load) iptables.Inputs {
	in := iptables.Inputs{Names: i.names}
	for _, rf := range i.files {
		if !rf.concerns(f) {
			continue
		}
		file := iptables.File{Name: rf.path, Text: rf.text, Withheld: rf.withheld}
		if rf.asked || rf.refused != nil {
			file.Told = rf.said.told(parser)
		}
		switch rf.role {
		case roleRules4, roleRules6:
			in.Rules = append(in.Rules, file)
		case roleOther4, roleOther6:
			in.Other = append(in.Other, file)
		case roleIPSets:
			in.IPSets = &file
		case roleNFT:
			in.NFT = append(in.NFT, file)
		case roleARP:
			in.ARP = &file
		}
	}
	return in
}

// answer puts the checks of one question into the report.
func (i *inquiry) answer(q question) {
	result := i.analyse(q)
	from := "parser"
	for _, f := range i.files {
		if f.isRules() && f.concerns(q.Family) && f.asked {
			from = "tool"
		}
	}
	i.settleLoads(q, &result)
	if i.options.runs(Analysis) {
		c := analysisCheck(q, result, from)
		c.Mend = i.mends(q, result)
		i.report.Checks = append(i.report.Checks, c)
	}
	if i.options.runs(Rehearsal) {
		var known *iptables.Result
		if i.options.runs(Analysis) {
			known = &result
		}
		c := CheckResult{Name: Rehearsal, Family: q.Family, Iface: q.Iface, Load: result.Load, LoadError: result.LoadError, LoadFrom: from}
		if why := i.unlike(q); why != "" {
			c.Status, c.Summary = Unclear, "no rehearsal was possible: "+why
		} else {
			i.rehearse(q, known, result.Listen, &c)
			i.renew(q)
		}
		i.report.Checks = append(i.report.Checks, c)
	}
}

// unlike says why the scratch namespace is not what the machine will be after
// the boot; empty where it is.
func (i *inquiry) unlike(q question) string {
	if i.stage == nil {
		return i.noStage
	}
	for _, f := range i.files {
		if f.concerns(q.Family) && (!f.asked || i.loadOf(f) == iptables.LoadUnknown) {
			return strings.TrimSuffix(fmt.Sprintf("%s could not be loaded here as the boot may load it: %s", f.path, f.said.message), ": ")
		}
	}
	return ""
}

// loadOf is the load of a file, as far as the tools or the analysis settled
// it.
func (i *inquiry) loadOf(f *ruleFile) iptables.Load {
	if f.isRules() {
		return f.said.load
	}
	if f.role == roleIPSets && !f.asked {
		if _, err := rules.ParseIPSets(f.path, f.text); err == nil {
			return iptables.LoadOK
		}
	}
	return f.said.told(iptables.LoadOK).Load
}

// analyse asks the analysis, with the tools' word on the load where it counts.
func (i *inquiry) analyse(q question) iptables.Result {
	parser := iptables.LoadOK
	for _, f := range i.files {
		if f.concerns(q.Family) && f.said.doubtful {
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

// settleLoads gives the rule files of a family the load that the analysis
// settled on, and the analysis the tool's words where it has none.
func (i *inquiry) settleLoads(q question, r *iptables.Result) {
	for _, f := range i.files {
		if !f.isRules() || !f.concerns(q.Family) {
			continue
		}
		if !f.asked || f.said.doubtful {
			f.said.load = r.Load
			if r.LoadError != "" {
				f.said.message = r.LoadError
			}
		}
		if r.LoadError == "" && r.Load != iptables.LoadOK {
			r.LoadError = f.said.message
		}
	}
}

// analysisCheck is the report's form of a result.
func analysisCheck(q question, r iptables.Result, from string) CheckResult {
	c := CheckResult{
		Name: Analysis, Family: q.Family, Iface: q.Iface, Load: r.Load, LoadError: r.LoadError, LoadFrom: from,
		Verdict: r.Verdict, Scope: r.Scope, Counterexample: r.Counterexample, Trace: r.Trace,
		Assumptions: r.Assumptions, Warnings: r.Warnings,
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

// kernelModules are the modules that the kernel has loaded; none where it has
// no modules.
func kernelModules() []string {
	text, err := os.ReadFile("/proc/modules")
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		name, _, _ := strings.Cut(line, " ")
		out = append(out, name)
	}
	return out
}
