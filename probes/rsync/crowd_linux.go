package rsync

import (
	"cmp"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// onThread says how much of a processor f took: on a busy host it may take long without
// costing anything, and what is new must be known soon just then.
func onThread(f func()) time.Duration {
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
func (d *discovery) restAfter(now time.Time, cost time.Duration) time.Duration {
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
	crowd     = 16                     // that many not understood make no crowd
	crowdAge  = 5 * time.Second        // below which one is looked at as soon as any
	crowdGrid = 250 * time.Millisecond // those of a crowd have their turn together
)

// lookSoon has processes that are not understood yet read again, the youngest first: one
// that waits for a connection may have it at any moment. Of a crowd the older ones are
// looked at less often, but none less than every settledFor.
func (d *discovery) lookSoon(now time.Time, young []*process) {
	if len(young) > crowd {
		slices.SortFunc(young, func(a, b *process) int { return cmp.Compare(b.ID.Start, a.ID.Start) })
	}
	for i, p := range young {
		every := youngFor(d.scan.age(p))
		if d.scan.age(p) > crowdAge {
			every = min(every*time.Duration(1+i/crowd), settledFor)
		}
		t := now.Add(every)
		if every >= time.Second && i >= crowd {
			t = t.Truncate(crowdGrid).Add(crowdGrid)
		}
		d.scan.expire(p, t)
		if d.due.IsZero() || t.Before(d.due) {
			d.due = t
		}
	}
}
