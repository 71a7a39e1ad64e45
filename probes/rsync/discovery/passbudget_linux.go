package discovery

import (
	"cmp"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/proctable"
)

// threadCost says how much of a processor f took: on a busy host it may take long without
// costing anything, and what is new must be known soon just then.
func threadCost(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := threadTime()
	f()
	return threadTime() - before
}

func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

// restAfter is how long to rest after a pass that began at now. A few may come close
// together, so that what is new is known soon; in the long run no more than one part in
// passCostRatio of the time goes to them, whatever there is to be looked at.
func (d *Discovery) restAfter(now time.Time, cost time.Duration) time.Duration {
	if d.owedAt.IsZero() {
		d.owedAt = now
	}
	d.owed = max(0, d.owed-now.Sub(d.owedAt)/passCostRatio) + cost
	d.owedAt = now
	if d.owed > passCredit {
		return passCostRatio * cost
	}
	return min(longestRest, passCostRatio*cost)
}

const (
	manyYoung  = 16                     // that many not understood make no crowd
	sharedTurn = 250 * time.Millisecond // those of a crowd have their turn together
)

// scheduleYoung has processes that are not understood yet read again, the youngest first: one
// that waits for a connection may have it at any moment. Of a crowd the older ones are
// looked at less often, but none less than every SettledFor.
func (d *Discovery) scheduleYoung(now time.Time, young []*proc.Process) {
	if len(young) > manyYoung {
		slices.SortFunc(young, func(a, b *proc.Process) int { return cmp.Compare(b.ID.Start, a.ID.Start) })
	}
	for i, p := range young {
		every := proctable.YoungFor(d.table.Age(p))
		if d.table.Age(p) > proctable.YoungAge {
			every = min(every*time.Duration(1+i/manyYoung), proctable.SettledFor)
		}
		t := now.Add(every)
		if every >= time.Second && i >= manyYoung {
			t = t.Truncate(sharedTurn).Add(sharedTurn)
		}
		d.table.ExpireAt(p, t)
		if d.due.IsZero() || t.Before(d.due) {
			d.due = t
		}
	}
}
