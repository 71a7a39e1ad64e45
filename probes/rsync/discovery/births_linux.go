package discovery

import (
	"time"

	"lifeline/probes/rsync/procevents"
)

// youngPID is a process that was not rsync when it was first seen; most
// rsyncs are a shell's or sshd's child for a moment before they are rsync.
type youngPID struct {
	pid   int
	since time.Time
	look  time.Time // next
}

// youngPIDFor is how long a new process is watched for becoming an rsync; the
// look at all pids finds later ones.
const (
	youngPIDFor   = 10 * time.Second
	youngPIDEvery = 40 * time.Millisecond // in its first second
)

// lookEvery is how often. A crowd of them is looked at less often.
func lookEvery(age time.Duration, crowd int) time.Duration {
	every := youngPIDEvery
	if age > time.Second {
		every *= 10
	}
	return every * time.Duration(1+crowd/256)
}

// apply takes note of events, and says whether any concerns a transfer.
func (d *Discovery) apply(events []procevents.Event) bool {
	changed := false
	for _, e := range events {
		switch e.Kind {
		case procevents.Fork:
			rsync, sshd := d.table.Forked(e.PID, e.Parent)
			d.sshdsMoved = d.sshdsMoved || sshd
			changed = changed || rsync || sshd
		case procevents.Exec:
			changed = d.table.Executed(e.PID) || changed
		case procevents.Exit:
			known, sshd := d.table.Exited(e.PID)
			d.sshdsMoved = d.sshdsMoved || sshd
			changed = changed || known
		}
	}
	return changed
}

// rescan looks at all pids, as at the start and after lost events.
func (d *Discovery) rescan(now time.Time) {
	pids, err := d.opts.Proc.PIDs()
	d.results.setFailure("list processes", err)
	d.results.setFailure("hidden processes", d.opts.Proc.Hidden())
	d.full, d.missed, d.dirty = now, false, true
	if err != nil {
		return
	}
	d.table.IdentifyAll(pids)
	d.cost = time.Since(now)
}

// poll looks for new pids where there are no events, and says whether any
// concerns a transfer.
func (d *Discovery) poll(now time.Time) bool {
	d.polled = now
	fresh, all := d.newPIDs()
	d.missed = d.missed || all
	for _, pid := range fresh {
		d.recent = append(d.recent, youngPID{pid: pid, since: now})
	}
	changed := false
	crowd := len(d.recent)
	kept := d.recent[:0]
	for _, n := range d.recent {
		if !now.Before(n.look) {
			if now.Sub(n.since) > youngPIDFor || !d.opts.Proc.Exists(n.pid) {
				continue
			}
			changed = d.table.Identify(n.pid) || changed || (n.look.IsZero() && d.childOfKnown(n.pid))
			if d.table.KnownRsync(n.pid) {
				continue
			}
			n.look = now.Add(lookEvery(now.Sub(n.since), crowd))
		}
		kept = append(kept, n)
	}
	d.recent = kept
	return changed
}

// newPIDs lists the processes that have appeared since it was last asked.
func (d *Discovery) newPIDs() (fresh []int, all bool) {
	last, err := d.opts.Proc.LastPID()
	if err != nil {
		return nil, true
	}
	before := d.results.sawPID(last)
	if before == last {
		return nil, false
	}
	return d.opts.Proc.NewPIDs(before, last)
}

// childOfKnown says whether a pid was started by a process of a transfer.
func (d *Discovery) childOfKnown(pid int) bool {
	st, err := d.opts.Proc.Stat(pid)
	if err != nil {
		return false
	}
	return d.table.KnowsPID(st.PPID)
}
