package rsync

import (
	"slices"
	"time"

	"lifeline/probes/rsync/cmdline"
	"lifeline/probes/rsync/grouping"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/proctable"
	"lifeline/probes/rsync/rsyncd"
	"lifeline/watchdog"
)

// transfer is one transfer between samples. Discovery writes what is static,
// Sample what is measured, both under the probe's lock.
type transfer struct {
	watchdog.Transfer
	evidence       directionEvidence
	directionKnown bool // the direction is certain
	visible        bool
	since          time.Time // first seen
	studied        time.Time // last study
	meter          meter
	answered       bool                  // by sock_diag, for this sample
	unanswered     uint64                // inode of the socket of which sock_diag tells nothing
	movedAt        time.Duration         // monotonic, when enough bytes to count had passed last
	bytesAtMove    uint64                // bytes both ways by then
	unsent         bool                  // something waits in its socket to be sent
	idleTurn       bool                  // to be measured by this sample, although it is idle
	moving         bool                  // between the last two measurements
	turn           int                   // whose state is read next
	stateReadAt    time.Duration         // monotonic, when a state was last read
	stopped        []bool                // by Procs
	ownSocket      bool                  // its own processes hold the connection
	bytes          byteCheck             // of these with the connection
	comparedAt     time.Duration         // monotonic, when they were last compared
	control        watchdog.Controllable // as discovery found it
	why            string
	fileAskedAt    time.Time // for its file
	file           openFile
}

// guessAfter is how long a transfer whose direction does not show is kept
// back: a wrong guess is corrected later, but a limit in the wrong direction is
// no limit.
const guessAfter = 15 * time.Millisecond

// Publish implements the publisher of discovery.
func (p *Probe) Publish(transfers []*grouping.Transfer, now time.Time) (unsettled []*grouping.Transfer) {
	live := map[watchdog.TransferID]bool{}
	wake := false
	for _, f := range transfers {
		live[f.ID] = true
		fresh, settled := p.renew(f, now)
		wake = wake || fresh
		if !settled {
			unsettled = append(unsettled, f)
		}
	}
	p.retain(live)
	if wake {
		p.wake()
	}
	return unsettled
}

// renew makes a found transfer known or renews it. fresh says that the caller should hear
// of it now, settled that nothing more is to be found out.
func (p *Probe) renew(f *grouping.Transfer, now time.Time) (fresh, settled bool) {
	p.mu.Lock()
	t := p.transfers[f.ID]
	if t == nil {
		t = &transfer{since: now}
		t.file, t.File = noFile, noFile.File
	}
	every := proctable.YoungFor(now.Sub(t.since))
	if t.Idle {
		every = proctable.SettledFor
	}
	study := now.Sub(t.studied) >= every
	next, proof, sure := t.Transfer, t.evidence, t.directionKnown
	next.Control, next.Why = t.control, t.why
	p.mu.Unlock()

	p.describe(f, &next)
	if study {
		proof = p.study(f, &next, sure)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.transfers[f.ID] = t
	changed := t.replace(next)
	t.ownSocket = f.Connected && len(f.OtherHolders) == 0
	if study {
		t.studied = now
		proof.Received, proof.Acked = t.evidence.Received, t.evidence.Acked
		t.evidence = proof
	}
	if !t.directionKnown {
		if f.Connected {
			p.measure(t)
		}
		changed = t.updateDirection() || changed
	}
	visible := t.visible
	t.visible = visible || t.ready(f.Connected, now)
	return t.visible && (!visible || changed), t.visible && t.directionKnown
}

// updateDirection decides on the direction anew and says whether it turned.
func (t *transfer) updateDirection() bool {
	was := t.Direction
	t.Direction, t.directionKnown = inferDirection(t.evidence)
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
	return t.directionKnown || (busy && known >= guessAfter)
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
		t.bytes = byteCheck{}
	}
	t.ID, t.Via, t.Socket, t.Procs, t.Parents = next.ID, next.Via, next.Socket, next.Procs, next.Parents
	t.control, t.why, t.Foreign, t.Link = next.Control, next.Why, next.Foreign, next.Link
	t.Control, t.Why = t.allowed()
	t.Module, t.Path, t.Timeout = next.Module, next.Path, next.Timeout
	return changed
}

// describe fills in what discovery found.
func (p *Probe) describe(f *grouping.Transfer, t *watchdog.Transfer) {
	t.ID, t.Via, t.Socket = f.ID, f.Via, f.Socket
	t.Procs, t.Parents = ids(f.Members), ids(f.Parents)
	t.Control, t.Why = f.Control()
	t.Foreign = f.Foreign(p.netns)
	if f.Connected {
		t.Link = p.routes.link(f.Socket.Remote.Addr(), t.Foreign)
	}
}

func ids(procs []*proc.Process) []watchdog.ProcID {
	var out []watchdog.ProcID
	for _, p := range procs {
		out = append(out, p.ID)
	}
	return out
}

// study finds out what a transfer works on and the timeout that is known, and
// collects what shows its direction. Open files are looked at only as long as
// that is not certain.
func (p *Probe) study(f *grouping.Transfer, t *watchdog.Transfer, sure bool) directionEvidence {
	first := f.Members[0]
	e := directionEvidence{Sends: f.Sends, Pair: f.HasSocketPair}
	switch f.Via {
	case watchdog.ViaDaemon:
		m := p.module(f)
		e.ReadOnly, e.WriteOnly = m.ReadOnly, m.WriteOnly
		t.Module, t.Timeout, t.Path = m.Name, cmdline.OwnTimeout(m.Timeout), f.ModuleDir()
	case watchdog.ViaSSHServer:
		if n := len(first.Cmd.Paths); n > 0 {
			t.Path = first.Cmd.Paths[n-1]
		}
		// A client passes its --timeout on to the server that it starts.
		t.Timeout = first.Cmd.Timeout
	default:
		t.Timeout = first.Cmd.Timeout
		for _, arg := range first.Cmd.Paths {
			if cmdline.NamesHost(arg) {
				t.Path = cmdline.ModulePath(arg)
			}
		}
	}
	if f.Sends == nil && !sure {
		var pids []int
		for _, m := range f.Members {
			pids = append(pids, m.ID.PID)
		}
		file := fileFinder{p.proc}.find(pids, firstFD(f.Via), noSize)
		e.Writes, e.Reads = file.writes, file.found() && !file.writes
	}
	return e
}

// module finds the module that a daemon's child serves, as soon as it serves
// one.
func (p *Probe) module(f *grouping.Transfer) rsyncd.Module {
	// Asked for at once: who serves a module may not see its configuration any more.
	config, _ := p.configs.Config(f.Members[0], f.Daemon)
	dir := f.ModuleDir()
	if dir == "" {
		return rsyncd.Module{}
	}
	m, _ := config.ModuleAt(dir)
	return m
}
