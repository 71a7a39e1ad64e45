package preboot

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"time"

	"lifeline/probes/iptables"
	"lifeline/probes/iptables/kernelmem"
	"lifeline/probes/preboot/sandbox"
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

// testbedOpener is one way to a testbed.
type testbedOpener struct {
	// allIDs says that every user id exists inside.
	allIDs bool
	open   func(context.Context) (testbed, error)
}

// loadDeadline bounds each run of a tool. It is far beyond what 100,000 rules
// take, and a file that needs longer is not to be loaded at a boot either.
const loadDeadline = 20 * time.Second

// load opens a testbed and lets the tools load the files there.
func (i *inquiry) load(ctx context.Context, ways []testbedOpener) {
	network, notes := sandbox.Mirror(i.host, bareQuestions(i.questions))
	i.report.Notes = append(i.report.Notes, notes...)
	files, loads, refused := i.loads()
	if refused != nil {
		i.noTestbed = refused
		return
	}
	for _, f := range files {
		for _, in := range f.Includes {
			network.Files = append(network.Files, sandbox.File{Path: in.Path, Text: in.Text})
		}
	}
	for _, w := range ways {
		t, results, err := w.start(ctx, network, loads)
		if err == nil {
			i.testbed, i.allIDs, i.noTestbed = t, w.allIDs, nil
			i.recordLoads(files, results)
			i.noteMemoryLimit(t)
			return
		}
		if i.noteKilled(err); i.killed {
			i.noTestbed = err
			return // the files would do the same again
		}
		if i.noTestbed == nil {
			i.noTestbed = err
		}
	}
}

// loads are the files that matter and that a tool may see, and how it gets them; refused
// says why it may not see one, and then none is loaded.
func (i *inquiry) loads() (files []*bootFile, loads []sandbox.Load, refused error) {
	wants := demand{sum: kernelmem.Demand{CPUs: runtime.NumCPU()}, most: i.memory}
	for _, f := range i.files {
		f.said = sandbox.LoadStatus{Load: iptables.LoadUnknown}
		if !i.concerns(f) {
			continue
		}
		if f.refused == nil {
			f.refused = wants.add(f)
		}
		if f.refused != nil {
			f.said.Message = f.refused.Error()
			refused = f.refused
			continue
		}
		var l sandbox.Load
		l, f.notes = loadFor(f.File, i.backend)
		files, loads = append(files, f), append(loads, l)
	}
	return files, loads, refused
}

// start opens a testbed, builds the network there and lets the tools load files.
func (w testbedOpener) start(ctx context.Context, network sandbox.Network, loads []sandbox.Load) (testbed, []sandbox.LoadResult, error) {
	t, err := w.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = t.Build(network)
	var results []sandbox.LoadResult
	if err == nil {
		results, err = t.Load(loads, loadDeadline)
	}
	if err != nil {
		t.Close()
		return nil, nil, err
	}
	return t, results, nil
}

// noteMemoryLimit says so where only the sum of what the files ask for bounds the
// rehearsal's memory.
func (i *inquiry) noteMemoryLimit(t testbed) {
	limited, ok := t.(interface{ MemoryLimit() error })
	if !ok || len(i.files) == 0 {
		return
	}
	if err := limited.MemoryLimit(); err != nil {
		i.report.Notes = append(i.report.Notes, "no memory cgroup is around the rehearsal, only what the files ask for is summed up: "+err.Error())
	}
}

// noteKilled takes note of an error that tells that the child was killed: files that
// do that are not safe, whatever the analysis says.
func (i *inquiry) noteKilled(err error) {
	var k sandbox.KilledError
	if !i.killed && errors.As(err, &k) {
		i.killed = true
		i.report.Assumptions = append(i.report.Assumptions, iptables.Assumption{Name: "rehearsal", Why: k.Error()})
	}
}

// recordLoads takes what the tools said about the files.
func (i *inquiry) recordLoads(files []*bootFile, said []sandbox.LoadResult) {
	doubt := false
	for n, f := range files {
		f.asked, f.tool = said[n].Tool != "", said[n].Tool
		f.said = sandbox.StatusOf(said[n], i.allIDs, i.here)
		if f.Withheld {
			f.said = f.said.Redact(said[n], 1+bytes.Count(f.Text, []byte("\n")))
		}
		// A set that could not be made here is missing to the rules that
		// follow, through no fault of theirs.
		f.said.Doubtful = f.said.Doubtful || doubt && f.said.Load == iptables.LoadFails
		doubt = doubt || f.said.Load == iptables.LoadUnknown
	}
}
