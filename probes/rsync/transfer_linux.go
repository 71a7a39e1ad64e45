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
	meter   meter
	turn    int    // whose state is read next
	stopped []bool // by Procs
	looked  time.Time
}

// guessAfter is how long a transfer whose direction does not show is kept
// back: a wrong guess is mended later, but a limit in the wrong direction is
// no limit.
const guessAfter = 50 * time.Millisecond

// publish makes a found transfer known or renews it. fresh says that the
// caller should hear of it now, settled that nothing more is to be found out.
func (d *discovery) publish(f *found, now time.Time) (fresh, settled bool) {
	next := d.describe(f)
	p := d.probe
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.transfers[f.id]
	if t == nil {
		t = &transfer{since: now}
		t.File = watchdog.File{Pos: -1, Size: -1}
		p.transfers[f.id] = t
	}
	changed := t.replace(next)
	if !t.sure {
		t.proof = d.evidence(f)
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

// replace takes what discovery found and says whether it matters to the caller.
func (t *transfer) replace(next watchdog.Transfer) bool {
	changed := t.Control != next.Control || !slices.Equal(t.Procs, next.Procs) ||
		!slices.Equal(t.Socket.Refs, next.Socket.Refs)
	old := t.Transfer
	t.Transfer = next
	t.Direction, t.File, t.Bytes, t.Rate, t.TCP, t.Age, t.Stopped = old.Direction, old.File, old.Bytes, old.Rate, old.TCP, old.Age, old.Stopped
	return changed
}

// describe fills in what does not change from sample to sample.
func (d *discovery) describe(f *found) watchdog.Transfer {
	t := watchdog.Transfer{ID: f.id, Via: f.via, Socket: f.socket}
	for _, p := range f.members {
		t.Procs = append(t.Procs, p.id())
	}
	for _, p := range f.parents {
		t.Parents = append(t.Parents, p.id())
	}
	t.Control, t.Why = f.control()
	t.Foreign = f.socket.Netns != 0 && f.socket.Netns != d.probe.netns
	if f.tcp {
		t.Link = d.probe.routes.link(f.socket.Remote.Addr(), t.Foreign)
	}
	d.place(f, &t)
	return t
}

// place says what a transfer works on, and the timeout that is known.
func (d *discovery) place(f *found, t *watchdog.Transfer) {
	first := f.members[0]
	switch f.via {
	case watchdog.ViaDaemon:
		m, ok := d.module(first)
		t.Module, t.Timeout = m.Name, ownTimeout(m.Timeout)
		if ok || first.CWD != "/" {
			t.Path = first.CWD
		}
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
}

// ownTimeout is what a daemon's own timeout says about a transfer. The
// client's cannot be seen and may be shorter; ours is worth telling only when
// it is shorter than what has to be assumed of the client's anyway.
func ownTimeout(own time.Duration) time.Duration {
	if own > assumedTimeout {
		return 0
	}
	return own
}

// assumedTimeout is the shortest io timeout that is safe with an unknown one:
// a transfer is then held for 2 s at most, 45 % of that.
const assumedTimeout = 4 * time.Second

// module finds the module that a daemon's child serves.
func (d *discovery) module(p *process) (module, bool) {
	config, ok := d.configs.of(p)
	if !ok || p.CWD == "" {
		return module{}, false
	}
	return config.moduleAt(p.CWD)
}

// evidence collects what shows the direction.
func (d *discovery) evidence(f *found) evidence {
	e := evidence{Sends: f.argv, Pair: f.pair}
	if f.argv != nil {
		return e
	}
	if f.via == watchdog.ViaDaemon {
		m, _ := d.module(f.members[0])
		e.ReadOnly, e.WriteOnly = m.ReadOnly, m.WriteOnly
	}
	pids := make([]int, 0, len(f.members))
	for _, p := range f.members {
		pids = append(pids, p.ID.PID)
	}
	_, e.Writes, e.Reads = d.probe.proc.openFile(pids, firstFD(f.via), noSize)
	return e
}
