package rsync

import "time"

// newcomer is a process that was not rsync when it was first seen; most
// rsyncs are a shell's or sshd's child for a moment before they are rsync.
type newcomer struct {
	pid   int
	since time.Time
	look  time.Time // next
}

// newcomerFor is how long a new process is watched for becoming an rsync; the
// look at all pids finds later ones.
const (
	newcomerFor   = 10 * time.Second
	newcomerEvery = 40 * time.Millisecond // in its first second
)

// lookEvery is how often. A crowd of them is looked at less often.
func lookEvery(age time.Duration, crowd int) time.Duration {
	every := newcomerEvery
	if age > time.Second {
		every *= 10
	}
	return every * time.Duration(1+crowd/256)
}

// take sorts events, and says whether any concerns a transfer.
func (d *discovery) take(events []event) bool {
	changed := false
	for _, e := range events {
		switch e.Kind {
		case eventFork:
			changed = d.forked(e) || changed
		case eventExec:
			changed = d.executed(e.PID) || changed
		case eventExit:
			changed = d.exited(e.PID) || changed
		}
	}
	return changed
}

// forked: the child of an rsync is an rsync, the child of sshd may lead to one.
// An sshd that opens a session has changed otherwise, too.
func (d *discovery) forked(e event) bool {
	d.scan.forked(e.Parent)
	_, rsync := d.scan.rsyncs[e.Parent]
	if rsync {
		d.scan.rsyncs[e.PID] = struct{}{}
	}
	_, sshd := d.sshds[e.Parent]
	if sshd {
		d.sshds[e.PID] = struct{}{}
		d.moved = true
		d.scan.forget(e.Parent)
	}
	return rsync || sshd
}

func (d *discovery) executed(pid int) bool {
	_, known := d.scan.procs[pid]
	d.scan.forget(pid)
	_, was := d.scan.rsyncs[pid]
	return d.adopt(pid) || known || was
}

func (d *discovery) exited(pid int) bool {
	_, known := d.scan.procs[pid]
	delete(d.scan.rsyncs, pid)
	delete(d.scan.procs, pid)
	if _, ok := d.sshds[pid]; ok {
		delete(d.sshds, pid)
		d.moved = true
	}
	return known
}

// adopt looks at what a pid executes and says whether it is an rsync.
func (d *discovery) adopt(pid int) bool {
	exe := d.probe.proc.exe(pid)
	if exe == "" {
		if st, err := d.probe.proc.stat(pid); err == nil && st.State != 'Z' {
			exe = st.Comm
		}
	}
	delete(d.sshds, pid)
	if isSSHD(exe) {
		d.sshds[pid] = struct{}{}
	}
	if !isRsync(exe) {
		return false
	}
	if _, known := d.scan.rsyncs[pid]; known {
		return false
	}
	d.scan.rsyncs[pid] = struct{}{}
	d.scan.forget(pid)
	return true
}

// everything looks at all pids, as at the start and after lost events.
func (d *discovery) everything(now time.Time) {
	pids, err := d.probe.proc.pids()
	d.probe.setFailure("list processes", err)
	d.probe.setFailure("hidden processes", d.probe.proc.hidden())
	d.full, d.missed, d.dirty = now, false, true
	if err != nil {
		return
	}
	clear(d.sshds)
	for _, pid := range pids {
		d.adopt(pid)
	}
	d.scan.doubt()
	d.cost = time.Since(now)
}

// poll looks for new pids where there are no events, and says whether any
// concerns a transfer.
func (d *discovery) poll(now time.Time) bool {
	d.polled = now
	fresh, all := d.newPIDs()
	d.missed = d.missed || all
	for _, pid := range fresh {
		d.recent = append(d.recent, newcomer{pid: pid, since: now})
	}
	changed := false
	crowd := len(d.recent)
	kept := d.recent[:0]
	for _, n := range d.recent {
		if !now.Before(n.look) {
			if now.Sub(n.since) > newcomerFor || !d.probe.proc.exists(n.pid) {
				continue
			}
			changed = d.adopt(n.pid) || changed || (n.look.IsZero() && d.childOfKnown(n.pid))
			if _, done := d.scan.rsyncs[n.pid]; done {
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
func (d *discovery) newPIDs() (fresh []int, all bool) {
	last, err := d.probe.proc.lastPID()
	if err != nil {
		return nil, true
	}
	before := d.probe.seen(last)
	if before == last {
		return nil, false
	}
	return d.probe.proc.between(before, last)
}

// childOfKnown says whether a pid was started by a process of a transfer.
func (d *discovery) childOfKnown(pid int) bool {
	st, err := d.probe.proc.stat(pid)
	if err != nil {
		return false
	}
	_, ok := d.scan.procs[st.PPID]
	return ok
}
