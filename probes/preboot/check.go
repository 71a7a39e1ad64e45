package preboot

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"lifeline/probes/preboot/hostinfo"
)

// Check answers the question that o asks. Its only errors are of usage (a
// *UsageError) and of ctx; everything else that goes wrong is in the report,
// and makes it unknown.
func Check(ctx context.Context, o Options) (Report, error) {
	c := checker{machine: hostinfo.Local{}, now: time.Now, testbeds: testbeds, root: "/", memory: kernelMemory()}
	return c.check(ctx, o)
}

// check gathers what the answer rests on, makes questions of it, asks them, and concludes
// from the checks that the report holds then.
func (c checker) check(ctx context.Context, o Options) (Report, error) {
	if o.Root != "" {
		return c.checkBoot(ctx, o)
	}
	r := newReport()
	g, made, err := c.prepare(o, &r)
	if err != nil || g == nil {
		return r, err
	}
	questions := made.questions
	for _, q := range questions {
		r.Questions = append(r.Questions, Asked{q.Family, q.Backend, q.Iface, q.Dst, q.Ports, q.Mgmt, q.how})
	}
	if len(questions) > 0 {
		i := inquiry{gathered: g, questions: questions, report: &r}
		i.run(ctx, c.testbeds(g.trusted()))
	}
	r.Assumptions = append(append(r.Assumptions, made.open...), g.assumptions(questions)...)
	if err := ctx.Err(); err != nil {
		return r, err
	}
	conclude(&r)
	if len(g.options.Mgmt) == 0 && len(g.seen) == 0 {
		r.Reason = "no management sources are known: name them, or log in by ssh once"
	}
	return r, nil
}

// prepare gathers what the answer rests on and makes questions of it. Where that cannot be
// had it is nil, and the report says why.
func (c checker) prepare(o Options, r *Report) (*gathered, resolved, error) {
	g, err := c.gather(o)
	var wrong *UsageError
	switch {
	case errors.As(err, &wrong):
		return nil, resolved{}, err
	case err != nil:
		r.Verdict, r.Reason = Unknown, err.Error()
		return nil, resolved{}, nil
	}
	made, err := g.resolve()
	if err != nil {
		return nil, resolved{}, err
	}
	r.Notes = append(r.Notes, g.notes...)
	r.LeftOut = append(append(r.LeftOut, made.leftOut...), g.leftOut...)
	return g, made, nil
}

// inquiry answers the questions of one check: it loads the files in a testbed, and for
// each question asks the analysis and rehearses.
type inquiry struct {
	*gathered
	questions []question
	report    *Report
	testbed   testbed
	// noTestbed says why there is none.
	noTestbed error
	// allIDs says that every user id exists in the testbed.
	allIDs bool
	// killed: the testbed was killed.
	killed bool
}

// run fills the report with the checks and the files.
func (i *inquiry) run(ctx context.Context, ways []testbedOpener) {
	before := kernelModules()
	i.load(ctx, ways)
	if i.testbed != nil {
		defer i.testbed.Close()
	}
	for _, q := range i.questions {
		if ctx.Err() != nil {
			return // nobody waits for the answer any more
		}
		i.answer(q)
	}
	for _, f := range i.files {
		if !i.concerns(f) {
			continue
		}
		i.report.Notes = append(i.report.Notes, f.notes...)
		i.report.Files = append(i.report.Files, FileStatus{Role: f.Role, Path: f.Path, Tool: f.tool, Load: i.loadOf(f), Error: f.said.Message})
	}
	if now := missingFrom(before, kernelModules()); len(now) > 0 {
		i.report.Notes = append(i.report.Notes, "kernel modules that the tools had loaded: "+strings.Join(now, ", "))
	}
}

// concerns reports whether a file matters to any of the questions.
func (i *inquiry) concerns(f *bootFile) bool {
	return slices.ContainsFunc(i.questions, func(q question) bool { return f.Concerns(q.Family) })
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
