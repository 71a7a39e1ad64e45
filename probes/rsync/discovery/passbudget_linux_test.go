package discovery

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"lifeline/probes/rsync/grouping"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/procevents"
	"lifeline/probes/rsync/proctable"
	"lifeline/probes/rsync/proctest"
	"lifeline/probes/rsync/sockets"
)

// published are the transfers of the last pass.
type published []*grouping.Transfer

func (p *published) Publish(transfers []*grouping.Transfer, _ time.Time) []*grouping.Transfer {
	*p = transfers
	return nil
}

// discoveryOf is one of a host that a test makes up.
func discoveryOf(h *proctest.Host) (*Discovery, *published) {
	var last published
	procfs := proc.FS{Root: h.Root}
	d := New(Options{Proc: procfs, Sockets: sockets.NewDuplicator(procfs), Netns: 1, Log: slog.New(slog.DiscardHandler)}, &last)
	d.table = proctable.New(procfs, h, nil)
	d.table.Events = true
	return d, &last
}

// 2,000 programs that are called rsync and move nothing cost little, once they are known,
// and a new one beside them is known with the next pass.
func TestIdleCrowdIsCheap(t *testing.T) {
	const n = 2000
	h := proctest.NewHost(t, proctest.Process{PID: 1, Exe: "systemd"})
	for i := range n {
		h.Add(proctest.Process{PID: 100 + i, PPID: 1, Exe: "rsync", Argv: "rsync -a peer::mod/ dst", Fds: "0=/dev/null"})
	}
	d, last := discoveryOf(h)
	for i := range n {
		d.table.AddRsync(100 + i)
	}
	now := time.Unix(1000, 0)
	work, passes := 0, 0
	run := func(span, step time.Duration) {
		for end := now.Add(span); now.Before(end); {
			now = now.Add(step)
			if d.rest = now; now.Before(d.next()) { // a rest depends on the machine
				continue
			}
			d.pass(now)
			if most := proctable.MaxPassWork; d.table.Work > most {
				t.Fatalf("a pass cost %d, at most %d", d.table.Work, most)
			}
			work, passes = work+d.table.Work, passes+1
		}
	}
	run(20*time.Second, time.Second) // young ones are read with every pass
	if known := d.table.CountProcesses(); known < n {
		t.Fatalf("only %d of %d are known", known, n)
	}
	work, passes = 0, 0
	run(20*time.Second, 10*time.Millisecond)
	// Each is read every SettledFor: ProcessWork and two descriptors' worth.
	if most := 20 / 10 * n * (proctable.ProcessWork + 8); work > most {
		t.Errorf("cost %d in 20 s, at most %d", work, most)
	}
	if passes > 20*4+60 {
		t.Errorf("%d passes in 20 s", passes)
	}
	h.Add(proctest.Process{PID: 90, PPID: 1, Exe: "rsync", Argv: "rsync -a peer::mod/ dst", Fds: "3=socket:[200]"})
	h.Conn(200, "10.0.0.1:40000", "10.0.0.9:873")
	d.apply([]procevents.Event{{Kind: procevents.Exec, PID: 90}})
	d.dirty = true
	d.pass(now.Add(10 * time.Millisecond))
	if !slices.ContainsFunc(*last, func(f *grouping.Transfer) bool { return f.ID == "t200" }) {
		t.Error("a new one is not known with the next pass")
	}
}

// However dear a pass is, in the long run the rest between them keeps their part of the
// time; a few may come close together.
func TestPassesRest(t *testing.T) {
	for _, cost := range []time.Duration{time.Millisecond, 20 * time.Millisecond, 400 * time.Millisecond} {
		var d Discovery
		now, spent := time.Unix(1000, 0), time.Duration(0)
		if first := d.restAfter(now, time.Millisecond); first > longestRest {
			t.Errorf("a first pass of a millisecond rests for %v", first)
		}
		const span = time.Minute
		for end := now.Add(span); now.Before(end); spent += cost {
			now = now.Add(max(cost, d.restAfter(now, cost)))
		}
		if most := span/passCostRatio + 2*passCredit + 2*cost; spent > most {
			t.Errorf("passes of %v took %v of %v, at most %v", cost, spent, span, most)
		}
	}
}
