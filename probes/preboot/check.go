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
	"lifeline/probes/preboot/hostinfo"
	"lifeline/probes/preboot/sandbox"
	"lifeline/probes/preboot/savedrules"
)

// testbed is a scratch namespace that mirrors the machine.
type testbed interface {
	// Build mirrors the machine; the other calls come after it.
	Build(sandbox.Network) error
	// Load lets the tools load files, one after the other, each within a deadline.
	Load(list []sandbox.Load, deadline time.Duration) ([]sandbox.LoadResult, error)
	// Connect tries connections, all at the same time.
	Connect(sandbox.Traffic) ([]sandbox.Outcome, error)
	// RenewIPv6 asks whether IPv6 addresses and routes can be renewed.
	RenewIPv6(sandbox.Renewal) (sandbox.RenewalResult, error)
	// Close ends it; nothing stays behind.
	Close()
}

// testbedOpener is one way to a stage.
type testbedOpener struct {
	// ids says that every user id exists inside.
	ids  bool
	open func(context.Context) (testbed, error)
}

// loadDeadline bounds each run of a tool. It is far beyond what 100,000 rules
// take, and a file that needs longer is not to be loaded at a boot either.
const loadDeadline = 20 * time.Second

// Check answers the question that o asks. Its only errors are of usage (a
// *UsageError) and of ctx; everything else that goes wrong is in the report,
// and makes it unknown.
func Check(ctx context.Context, o Options) (Report, error) {
	c := checker{machine: hostinfo.Local{}, now: time.Now, testbeds: testbeds, root: "/", memory: kernelMemory()}
	return c.check(ctx, o)
}

func (c checker) check(ctx context.Context, o Options) (Report, error) {
	if o.Root != "" {
		return c.checkBoot(ctx, o)
	}
	r := newReport()
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
		run.all(ctx, c.testbeds(g.trusted()))
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
	qs      []question
	report  *Report
	testbed testbed
	// noTestbed says why there is no stage.
	noTestbed string
	ids       bool
	// broke: the child was killed.
	broke bool
}

func (i *inquiry) all(ctx context.Context, ways []testbedOpener) {
	before := kernelModules()
	i.load(ctx, ways)
	if i.testbed != nil {
		defer i.testbed.Close()
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
		i.report.Files = append(i.report.Files, FileStatus{Role: f.Role, Path: f.Path, Tool: f.tool, Load: i.loadOf(f), Error: f.said.Message})
	}
	if now := missingFrom(before, kernelModules()); len(now) > 0 {
		i.report.Notes = append(i.report.Notes, "kernel modules that the tools had loaded: "+strings.Join(now, ", "))
	}
}

// concern reports whether a file matters to any of the questions.
func (i *inquiry) concern(f *bootFile) bool {
	return slices.ContainsFunc(i.qs, func(q question) bool { return f.Concerns(q.Family) })
}

// load opens a stage and lets the tools load the files there.
func (i *inquiry) load(ctx context.Context, ways []testbedOpener) {
	sc, notes := sandbox.Mirror(i.host, bareQuestions(i.qs))
	i.report.Notes = append(i.report.Notes, notes...)
	var files []*bootFile
	var loads []sandbox.Load
	wants := demand{sum: kernelmem.Demand{CPUs: runtime.NumCPU()}, most: i.memory}
	for _, f := range i.files {
		f.said = sandbox.LoadStatus{Load: iptables.LoadUnknown}
		if !i.concern(f) {
			continue
		}
		if f.refused == nil {
			f.refused = wants.add(f)
		}
		if f.refused != nil {
			f.said.Message = f.refused.Error()
			i.noTestbed = f.refused.Error()
			continue
		}
		files = append(files, f)
		for _, in := range f.Includes {
			sc.Files = append(sc.Files, sandbox.File{Path: in.Path, Text: in.Text})
		}
		l, notes := loadFor(f.File, i.backend)
		f.notes = notes
		loads = append(loads, l)
	}
	if i.noTestbed != "" {
		return
	}
	for _, w := range ways {
		s, said, err := w.start(ctx, sc, loads)
		if err == nil {
			i.testbed, i.ids, i.noTestbed = s, w.ids, ""
			i.recordLoads(files, said)
			i.noteUnbounded(s)
			return
		}
		if i.noteKilled(err); i.broke {
			i.noTestbed = err.Error()
			return // the files would do the same again
		}
		if i.noTestbed == "" {
			i.noTestbed = err.Error()
		}
	}
}

// start opens a stage, builds a scene there and lets the tools load files.
func (w testbedOpener) start(ctx context.Context, sc sandbox.Network, list []sandbox.Load) (testbed, []sandbox.LoadResult, error) {
	s, err := w.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := s.Build(sc); err != nil {
		s.Close()
		return nil, nil, err
	}
	said, err := s.Load(list, loadDeadline)
	if err != nil {
		s.Close()
		return nil, nil, err
	}
	return s, said, nil
}

// noteUnbounded says so where only the sum of what the files ask for bounds the
// rehearsal's memory.
func (i *inquiry) noteUnbounded(s testbed) {
	if p, ok := s.(interface{ Unbounded() string }); ok && p.Unbounded() != "" && len(i.files) > 0 {
		i.report.Notes = append(i.report.Notes, "no memory cgroup is around the rehearsal, only what the files ask for is summed up: "+p.Unbounded())
	}
}

// noteKilled takes note of an error that tells that the child was killed: files that
// do that are not safe, whatever the analysis says.
func (i *inquiry) noteKilled(err error) {
	var k sandbox.KilledError
	if !i.broke && errors.As(err, &k) {
		i.broke = true
		i.report.Assumptions = append(i.report.Assumptions, iptables.Assumption{Name: "rehearsal", Why: k.Error()})
	}
}

// recordLoads takes what the tools said about the files.
func (i *inquiry) recordLoads(files []*bootFile, said []sandbox.LoadResult) {
	doubt := false
	for n, f := range files {
		f.asked, f.tool = said[n].Tool != "", said[n].Tool
		f.said = sandbox.StatusOf(said[n], i.ids, i.here)
		if f.Withheld {
			f.said = f.said.Redact(said[n], 1+bytes.Count(f.Text, []byte("\n")))
		}
		// A set that could not be made here is missing to the rules that
		// follow, through no fault of theirs.
		f.said.Doubtful = f.said.Doubtful || doubt && f.said.Load == iptables.LoadFails
		doubt = doubt || f.said.Load == iptables.LoadUnknown
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
	if i.options.runs(Analysis) {
		c := analysisCheck(q, result, from)
		fixes := i.fixesFor(q, result)
		c.Mend = fixes.list
		if w := fixes.warning(); w != "" {
			c.Warnings = append(slices.Clone(c.Warnings), w)
		}
		i.report.Checks = append(i.report.Checks, c)
	}
	if i.options.runs(Rehearsal) {
		var known *iptables.Result
		if i.options.runs(Analysis) {
			known = &result
		}
		c := CheckResult{Name: Rehearsal, Family: q.Family, Iface: q.Iface, Load: result.Load, LoadError: result.LoadError, LoadFrom: from}
		if why := i.whyNotRehearsed(q); why != "" {
			c.Status, c.Summary = Unclear, "no rehearsal was possible: "+why
		} else {
			i.rehearse(q, known, result.Listen, &c)
			i.renew(q)
		}
		i.report.Checks = append(i.report.Checks, c)
	}
}

// whyNotRehearsed says why the scratch namespace is not what the machine will be after
// the boot; empty where it is.
func (i *inquiry) whyNotRehearsed(q question) string {
	if i.testbed == nil {
		return i.noTestbed
	}
	for _, f := range i.files {
		if f.Concerns(q.Family) && (!f.asked || i.loadOf(f) == iptables.LoadUnknown) {
			return strings.TrimSuffix(fmt.Sprintf("%s could not be loaded here as the boot may load it: %s", f.Path, f.said.Message), ": ")
		}
	}
	return ""
}

// loadOf is the load of a file, as far as the tools or the analysis settled
// it.
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
// settled on, and the analysis the tool's words where it has none.
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
