package rsync

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// transfer is one transfer between samples. Discovery writes what is static,
// Sample what is measured, both under the probe's lock.
type transfer struct {
	watchdog.Transfer
	proof   evidence
	sure    bool
	visible bool
	born    uint64    // start time of its oldest process, in ticks since boot
	since   time.Time // first seen
	meter   meter
	turn    int // whose state is read next
	stopped []bool
	looked  time.Time // when its file was looked for last
	members []*process
}

// guessAfter is how long a transfer whose direction does not show is kept
// back: a wrong guess is mended later, but a limit in the wrong direction is
// no limit.
const guessAfter = 50 * time.Millisecond

// ticks is USER_HZ, the unit of start times, which Linux fixes at 100 on all
// architectures that Go knows.
const ticks = 100

// publish makes a found transfer known or renews it. fresh says that the
// caller should hear of it now, sure that its direction is certain.
func (d *discovery) publish(f *found, now time.Time) (fresh, sure bool) {
	next := d.describe(f)
	proof := d.evidence(f)
	p := d.probe
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.transfers[f.id]
	if t == nil || t.born != f.members[0].ID.Start {
		t = &transfer{since: now, born: f.members[0].ID.Start}
		p.transfers[f.id] = t
	}
	changed := t.replace(next)
	t.members = f.members
	t.proof = proof
	if f.tcp {
		if err := p.measure(t); err != nil && t.TCP.Known {
			t.TCP = watchdog.TCP{}
		}
	}
	was := t.Direction
	t.Direction, t.sure = judge(t.proof)
	visible := t.visible
	t.visible = visible || t.ready(f, now)
	fresh = t.visible && (!visible || changed || was != t.Direction)
	return fresh, t.visible && (t.sure || !f.tcp)
}

// ready says whether a transfer may be shown. A connection to a daemon that
// has not chosen a module moves no files yet.
func (t *transfer) ready(f *found, now time.Time) bool {
	if !f.tcp {
		return now.Sub(t.since) >= lostAfter
	}
	if t.sure {
		return true
	}
	busy := t.Module != "" || t.Path != "" || max(t.TCP.BytesReceived, t.TCP.BytesAcked) >= someBytes
	return busy && now.Sub(t.since) >= guessAfter
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
		if m, ok := d.module(f); ok {
			t.Module, t.Path = m.Name, first.CWD
			t.Timeout = ownTimeout(m.Timeout)
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
func (d *discovery) module(f *found) (module, bool) {
	p := f.members[0]
	if p.CWD == "" {
		return module{}, false
	}
	config, err := d.configs.of(p)
	if err != nil {
		return module{}, false
	}
	return config.moduleAt(p.CWD)
}

// evidence collects what shows the direction.
func (d *discovery) evidence(f *found) evidence {
	e := evidence{Sends: f.argv, Pair: f.pair}
	if f.via != watchdog.ViaDaemon && f.argv != nil {
		return e
	}
	if m, ok := d.module(f); ok && f.via == watchdog.ViaDaemon {
		e.ReadOnly, e.WriteOnly = m.ReadOnly, m.WriteOnly
	}
	if !f.pair {
		_, e.Writes, e.Reads = d.probe.openFile(f.members)
	}
	return e
}

// Sample measures all transfers. now is the monotonic time of the daemon. It
// costs about ten microseconds per transfer.
func (p *Probe) Sample(now time.Duration) ([]watchdog.Transfer, []watchdog.ProbeError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wall, up := time.Now(), uptime()
	failures := slices.Clone(p.failures)
	out := make([]watchdog.Transfer, 0, len(p.transfers))
	for _, t := range p.transfers {
		if p.sample(t, now, wall, up) {
			out = append(out, t.Transfer)
		}
	}
	slices.SortFunc(out, func(a, b watchdog.Transfer) int {
		return older(&process{stat: stat{ID: a.Procs[0]}}, &process{stat: stat{ID: b.Procs[0]}})
	})
	return out, failures
}

// sample measures one transfer and says whether it is to be shown.
func (p *Probe) sample(t *transfer, now time.Duration, wall time.Time, up time.Duration) bool {
	if t.Socket.Inode != 0 {
		if err := p.measure(t); err != nil {
			t.TCP = watchdog.TCP{}
			p.lookAgain(t)
			if !p.alive(t) {
				return false
			}
		}
		t.Direction, t.sure = judge(t.proof)
		t.Bytes = t.TCP.BytesReceived
		if t.Direction == watchdog.Tx {
			t.Bytes = t.TCP.BytesAcked
		}
		t.Rate = t.meter.add(now, t.Bytes)
	}
	t.Age = max(0, up-time.Duration(t.born)*time.Second/ticks)
	p.states(t)
	if t.visible && wall.Sub(t.looked) >= time.Second {
		t.looked = wall
		t.File, _, _ = p.openFile(t.members)
	}
	return t.visible
}

// alive says whether any process of a transfer still runs.
func (p *Probe) alive(t *transfer) bool {
	return slices.ContainsFunc(t.Procs, func(id watchdog.ProcID) bool {
		st, err := p.proc.stat(id.PID)
		return err == nil && st.ID == id && st.State != 'Z' && st.State != 'X'
	})
}

// lookAgain has discovery read a transfer's processes.
func (p *Probe) lookAgain(t *transfer) {
	for _, id := range t.Procs {
		select {
		case p.recheck <- id.PID:
		default:
		}
	}
	for _, ref := range t.Socket.Refs {
		select {
		case p.recheck <- ref.Proc.PID:
		default:
		}
	}
}

// states reads whether a transfer's processes are stopped, one per sample:
// /proc/PID/stat is the most expensive file that is read regularly.
func (p *Probe) states(t *transfer) {
	if len(t.stopped) != len(t.Procs) {
		t.stopped, t.turn = make([]bool, len(t.Procs)), 0
	}
	t.turn = (t.turn + 1) % len(t.Procs)
	st, err := p.proc.stat(t.Procs[t.turn].PID)
	t.stopped[t.turn] = err == nil && st.ID == t.Procs[t.turn] && st.State == 'T'
	t.Stopped = slices.Contains(t.stopped, true)
}

// measure reads the connection's struct tcp_info through the first holder
// that still has it.
func (p *Probe) measure(t *transfer) error {
	err := error(errGone)
	for _, ref := range t.Socket.Refs {
		err = p.sockets.with(ref, t.Socket.Inode, func(sock int) error {
			info, scales, err := tcpInfo(sock)
			if err == nil {
				t.take(&info, scales)
			}
			return err
		})
		if err == nil {
			return nil
		}
	}
	return err
}

// take converts struct tcp_info (linux/tcp.h): microseconds, milliseconds and
// segments.
func (t *transfer) take(info *unix.TCPInfo, scales uint8) {
	mss := info.Advmss
	if t.Direction == watchdog.Tx {
		mss = info.Snd_mss
	}
	t.TCP = watchdog.TCP{
		Known:         true,
		RTT:           time.Duration(info.Rtt) * time.Microsecond,
		MinRTT:        time.Duration(info.Min_rtt) * time.Microsecond,
		MSS:           int(mss),
		RcvWscale:     scales >> 4,
		BytesReceived: info.Bytes_received,
		BytesAcked:    info.Bytes_acked,
		Retrans:       uint64(info.Total_retrans),
		DeliveryRate:  info.Delivery_rate,
		LastRecv:      time.Duration(info.Last_data_recv) * time.Millisecond,
		LastSend:      time.Duration(info.Last_data_sent) * time.Millisecond,
		Unacked:       info.Unacked,
	}
	if info.Min_rtt == ^uint32(0) {
		t.TCP.MinRTT = 0
	}
	t.proof.Received, t.proof.Acked = info.Bytes_received, info.Bytes_acked
}
