package rsync

import (
	"slices"
	"time"

	"lifeline/watchdog"
)

// transfer is one transfer between samples. Discovery writes what is static,
// Sample what is measured, both under the probe's lock.
type transfer struct {
	watchdog.Transfer
	proof   evidence
	sure    bool // the direction is certain
	visible bool
	since   time.Time // first seen
	studied time.Time // last study
	meter   meter
	told    bool                  // by sock_diag, for this sample
	untold  uint64                // inode of the socket of which sock_diag tells nothing
	movedAt time.Duration         // monotonic, when enough bytes to count had passed last
	marked  uint64                // bytes both ways by then
	unsent  bool                  // something waits in its socket to be sent
	itsTurn bool                  // to be measured by this sample, although it is idle
	moves   bool                  // between the last two measurements
	turn    int                   // whose state is read next
	stated  time.Duration         // monotonic, when a state was last read
	stopped []bool                // by Procs
	direct  bool                  // its own processes hold the connection
	match   match                 // of these with the connection
	matched time.Duration         // monotonic, when they were last compared
	control watchdog.Controllable // as discovery found it
	why     string
	looked  time.Time // for its file
	file    opened
}

// guessAfter is how long a transfer whose direction does not show is kept
// back: a wrong guess is mended later, but a limit in the wrong direction is
// no limit.
const guessAfter = 15 * time.Millisecond

// publish makes a found transfer known or renews it. fresh says that the
// caller should hear of it now, settled that nothing more is to be found out.
func (d *discovery) publish(f *found, now time.Time) (fresh, settled bool) {
	p := d.probe
	p.mu.Lock()
	t := p.transfers[f.id]
	if t == nil {
		t = &transfer{since: now}
		t.file, t.File = nothing, nothing.File
	}
	every := youngFor(now.Sub(t.since))
	if t.Idle {
		every = settledFor
	}
	study := now.Sub(t.studied) >= every
	next, proof, sure := t.Transfer, t.proof, t.sure
	next.Control, next.Why = t.control, t.why
	p.mu.Unlock()

	d.describe(f, &next)
	if study {
		proof = d.study(f, &next, sure)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.transfers[f.id] = t
	changed := t.replace(next)
	t.direct = f.tcp && len(f.others) == 0
	if study {
		t.studied = now
		proof.Received, proof.Acked = t.proof.Received, t.proof.Acked
		t.proof = proof
	}
	if !t.sure {
		if f.tcp {
			p.measure(t)
		}
		changed = t.judge() || changed
	}
	visible := t.visible
	t.visible = visible || t.ready(f.tcp, now)
	return t.visible && (!visible || changed), t.visible && t.sure
}

// judge decides on the direction anew and says whether it turned.
func (t *transfer) judge() bool {
	was := t.Direction
	t.Direction, t.sure = judge(t.proof)
	if was == t.Direction {
		return false
	}
	t.meter = meter{}
	return true
}

// ready says whether a transfer may be shown. A connection to a daemon that
// has not chosen a module moves no files yet.
func (t *transfer) ready(tcp bool, now time.Time) bool {
	known := now.Sub(t.since)
	if !tcp {
		return known >= lostAfter
	}
	busy := t.Path != "" || max(t.TCP.BytesReceived, t.TCP.BytesAcked) >= someBytes
	return t.sure || (busy && known >= guessAfter)
}

// lostAfter is how long a connection may stay unfound before its transfer is
// reported as out of reach.
const lostAfter = 2 * time.Second

// replace takes what discovery found and says whether it matters to the
// caller. What is measured stays as it is.
func (t *transfer) replace(next watchdog.Transfer) bool {
	changed := t.control != next.Control || t.Link != next.Link || t.Foreign != next.Foreign ||
		!slices.Equal(t.Procs, next.Procs) || !slices.Equal(t.Socket.Refs, next.Socket.Refs)
	if t.Socket.Inode != next.Socket.Inode {
		t.match = match{}
	}
	t.ID, t.Via, t.Socket, t.Procs, t.Parents = next.ID, next.Via, next.Socket, next.Procs, next.Parents
	t.control, t.why, t.Foreign, t.Link = next.Control, next.Why, next.Foreign, next.Link
	t.Control, t.Why = t.allowed()
	t.Module, t.Path, t.Timeout = next.Module, next.Path, next.Timeout
	return changed
}

// describe fills in what discovery found.
func (d *discovery) describe(f *found, t *watchdog.Transfer) {
	t.ID, t.Via, t.Socket = f.id, f.via, f.socket
	t.Procs, t.Parents = ids(f.members), ids(f.parents)
	t.Control, t.Why = f.control()
	t.Foreign = d.foreign(f)
	if f.tcp {
		t.Link = d.probe.routes.link(f.socket.Remote.Addr(), t.Foreign)
	}
}

// distant says whether a transfer is only counted, and never touched.
func (d *discovery) distant(f *found) bool { return d.foreign(f) && !d.probe.opts.ForeignNetns }

// foreign says whether a transfer belongs to another network namespace.
func (d *discovery) foreign(f *found) bool {
	return f.socket.Netns != 0 && f.socket.Netns != d.probe.netns
}

func ids(procs []*process) []watchdog.ProcID {
	var out []watchdog.ProcID
	for _, p := range procs {
		out = append(out, p.id())
	}
	return out
}

// study finds out what a transfer works on and the timeout that is known, and
// collects what shows its direction. Open files are looked at only as long as
// that is not certain.
func (d *discovery) study(f *found, t *watchdog.Transfer, sure bool) evidence {
	first := f.members[0]
	e := evidence{Sends: f.argv, Pair: f.pair}
	switch f.via {
	case watchdog.ViaDaemon:
		m := d.module(f)
		e.ReadOnly, e.WriteOnly = m.ReadOnly, m.WriteOnly
		t.Module, t.Timeout, t.Path = m.Name, ownTimeout(m.Timeout), f.dir()
	case watchdog.ViaSSHServer:
		if n := len(first.Cmd.Paths); n > 0 {
			t.Path = first.Cmd.Paths[n-1]
		}
		// A client passes its --timeout on to the server that it starts.
		t.Timeout = first.Cmd.Timeout
	default:
		t.Timeout = first.Cmd.Timeout
		for _, arg := range first.Cmd.Paths {
			if namesHost(arg) {
				t.Path = modulePath(arg)
			}
		}
	}
	if f.argv == nil && !sure {
		var pids []int
		for _, p := range f.members {
			pids = append(pids, p.ID.PID)
		}
		file := d.probe.proc.openFile(pids, firstFD(f.via), noSize)
		e.Writes, e.Reads = file.writes, file.found() && !file.writes
	}
	return e
}

// module finds the module that a daemon's child serves, as soon as it serves
// one.
func (d *discovery) module(f *found) module {
	// Asked for at once: who serves a module may not see its configuration any more.
	first := f.members[0]
	config, _ := d.configs.of(first, d.scan.process(first.PPID))
	dir := f.dir()
	if dir == "" {
		return module{}
	}
	m, _ := config.moduleAt(dir)
	return m
}
