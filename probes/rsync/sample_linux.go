package rsync

import (
	"errors"
	"slices"
	"time"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
	"lifeline/watchdog/sockdiag"
)

// Bounds on what one Sample does beside measuring, so that it always takes
// about as long: the rest has its turn in the next ones.
const (
	statesPerSample = 4               // or one in statesPart
	statesPart      = 16              // of the transfers
	movingState     = 4 * time.Second // of a process while bytes move: a stopped receiver fills its buffer first
	filesPerSample  = 16
	fileEvery       = 2 * time.Second        // for few transfers
	fileShare       = 250 * time.Millisecond // for each of many: so that all have a bounded part of the time
	fileLeast       = 10 * time.Second       // for any number
	fileAfter       = 300 * time.Millisecond // before, it has its libraries open
	measuredYoung   = 2 * time.Second        // measured with every sample
	measureEvery    = 150 * time.Millisecond // later: every other sample, all in the same ones
	distantEvery    = 3 * time.Second        // those that are only counted
	distantRest     = 10 * time.Second       // their states and files
)

// Sample measures the transfers that are due and lists all, the oldest first. now
// is the monotonic time of the daemon. While limits move it measures all of them,
// otherwise the old ones only every other time. A list that did not change is that of
// the last sample, and none is to be written to. What could not be looked at is in the
// errors.
func (p *Probe) Sample(now time.Duration, limitsMove bool) (list []watchdog.Transfer, changed bool, errs []watchdog.ProbeError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.measureAll = limitsMove
	p.discovery.LookForNew()
	p.readStates(now)
	p.beginSample(now)
	changed = p.allDue || p.changed
	if changed {
		p.list(now, proc.Uptime())
	}
	p.askForFiles(time.Now())
	return p.listed, changed, p.discovery.Errors(time.Now())
}

// list makes the list anew.
func (p *Probe) list(now, up time.Duration) {
	p.changed = false
	p.giveTurns()
	p.listed = make([]watchdog.Transfer, 0, len(p.order))
	p.askSockDiag(now, up)
	for _, t := range p.order {
		if p.sample(t, now) {
			p.listed = append(p.listed, t.Transfer)
		}
		if t.Age <= measuredYoung || t.Socket.Inode != 0 && !t.TCP.Known {
			p.changed = true // the next sample looks at it again
		}
	}
}

// askSockDiag takes what sock_diag tells of the transfers that are due, of all at once.
func (p *Probe) askSockDiag(now, up time.Duration) {
	p.askedSockets, p.askedTransfers = p.askedSockets[:0], p.askedTransfers[:0]
	for _, t := range p.order {
		t.Age = max(0, up-proc.SinceBoot(t.Procs[0]))
		if p.due(t, now) && !t.Foreign && t.Socket.Inode != t.unanswered {
			p.askedSockets, p.askedTransfers = append(p.askedSockets, t.Socket), append(p.askedTransfers, t)
		}
	}
	if len(p.askedSockets) == 0 {
		return
	}
	// Those of which it tells nothing are measured one by one.
	_ = p.diag.TCPInfo(p.askedSockets, func(i int, info *sockdiag.TCPInfo) {
		p.askedTransfers[i].setTCPInfo(info)
		p.askedTransfers[i].answered = true
	})
}

// sample measures one transfer and says whether it is to be shown.
func (p *Probe) sample(t *transfer, now time.Duration) bool {
	if !t.answered && !p.due(t, now) {
		return t.visible // as it was
	}
	t.Measured = now
	told := t.answered
	t.answered = false
	switch {
	case told:
	case p.measure(t):
		t.unanswered = t.Socket.Inode
	default:
		p.lookAgain(t)
		return t.visible && p.runs(t)
	}
	if !t.directionKnown {
		t.updateDirection()
	}
	before := t.Bytes
	t.Bytes = t.TCP.BytesReceived
	if t.Direction == watchdog.Tx {
		t.Bytes = t.TCP.BytesAcked
	}
	t.moving = t.Bytes > before
	p.noteIdle(t, now)
	t.Rate = t.meter.add(now, t.Bytes)
	if t.compareDue(now) && !p.distant(t) {
		t.comparedAt = now
		p.compare(t)
	}
	return t.visible
}

// distant says whether a transfer is only counted, and never touched.
func (p *Probe) distant(t *transfer) bool { return t.Foreign && !p.opts.ForeignNetns }

// beginSample says whether this sample measures the old transfers too.
func (p *Probe) beginSample(now time.Duration) {
	p.allDue = p.measureAll || p.allDueAt == 0 || now-p.allDueAt >= measureEvery
	if p.allDue {
		p.allDueAt = now
	}
}

// due says whether a transfer is measured by this sample. The old ones are so by
// the same samples, whenever each became old: bytes that are counted in turns
// look like bursts that no link could have passed.
func (p *Probe) due(t *transfer, now time.Duration) bool {
	switch {
	case t.Socket.Inode == 0:
		return false
	case !t.TCP.Known:
		return true
	}
	switch {
	case p.distant(t):
		return p.allDue && now-t.Measured >= distantEvery
	case t.Idle:
		return t.idleTurn
	}
	return t.Age <= measuredYoung || p.allDue
}

// runs says whether any process of a transfer still runs.
func (p *Probe) runs(t *transfer) bool {
	return slices.ContainsFunc(t.Procs, func(id watchdog.ProcID) bool {
		st, err := p.sockets.Stat(id)
		return err == nil && st.State != 'Z' && st.State != 'X'
	})
}

// lookAgain has discovery read a transfer's processes.
func (p *Probe) lookAgain(t *transfer) {
	for _, id := range t.Procs {
		p.discovery.ReadAgain(id.PID)
	}
	for _, ref := range t.Socket.Refs {
		p.discovery.ReadAgain(ref.Proc.PID)
	}
}

// readStates reads of some transfers whether a process of them is stopped, in
// turns: /proc/PID/stat is the dearest of all that is read regularly. Those
// whose bytes move have their turn less often.
func (p *Probe) readStates(now time.Duration) {
	left := max(statesPerSample, len(p.order)/statesPart)
	for range p.order {
		p.turn = (p.turn + 1) % len(p.order)
		t := p.order[p.turn]
		if t.stateReadAt != 0 && now-t.stateReadAt < p.stateEvery(t) {
			continue
		}
		t.stateReadAt = now
		p.readState(t)
		if left--; left == 0 {
			return
		}
	}
}

// stateEvery is how often a state of a transfer's processes is read at most.
func (p *Probe) stateEvery(t *transfer) time.Duration {
	switch {
	case p.distant(t):
		return distantRest
	case t.Idle:
		return idleState
	case t.moving:
		return movingState / time.Duration(len(t.Procs))
	}
	return 0
}

func (p *Probe) readState(t *transfer) {
	if len(t.stopped) != len(t.Procs) {
		t.stopped = make([]bool, len(t.Procs))
	}
	t.turn = (t.turn + 1) % len(t.Procs)
	id := t.Procs[t.turn]
	st, err := p.sockets.Stat(id)
	t.stopped[t.turn] = err == nil && st.State == 'T'
	was := t.Stopped
	t.Stopped = slices.Contains(t.stopped, true)
	p.changed = p.changed || t.Stopped != was
}

// measure reads the connection's struct tcp_info through the first holder
// that still has it, or by sock_diag where a duplicate is not to be had.
// Without any, nothing is known.
func (p *Probe) measure(t *transfer) bool {
	barred := false
	for _, ref := range t.Socket.Refs {
		err := p.sockets.With(ref, t.Socket.Inode, func(sock int) error {
			info, err := sockdiag.GetTCPInfo(sock)
			if err == nil {
				t.setTCPInfo(&info)
			}
			return err
		})
		if err == nil {
			return true
		}
		barred = barred || !errors.Is(err, proc.ErrGone)
	}
	t.TCP = watchdog.TCP{}
	if barred && !t.Foreign {
		_ = p.diag.TCPInfo([]watchdog.Socket{t.Socket}, func(_ int, info *sockdiag.TCPInfo) { t.setTCPInfo(info) })
	}
	return t.TCP.Known
}

// setTCPInfo converts struct tcp_info (linux/tcp.h): microseconds, milliseconds and
// segments.
func (t *transfer) setTCPInfo(info *sockdiag.TCPInfo) {
	mss := info.Advmss
	if t.Direction == watchdog.Tx {
		mss = info.Snd_mss
	}
	t.TCP = watchdog.TCP{
		Known:         true,
		RTT:           time.Duration(info.Rtt) * time.Microsecond,
		MinRTT:        time.Duration(info.Min_rtt) * time.Microsecond,
		MSS:           int(mss),
		RcvWscale:     info.RcvWscale,
		BytesReceived: info.Bytes_received,
		BytesAcked:    info.Bytes_acked,
		Retrans:       uint64(info.Total_retrans),
		DeliveryRate:  info.Delivery_rate,
		LastRecv:      time.Duration(info.Last_data_recv) * time.Millisecond,
		LastSend:      time.Duration(info.Last_data_sent) * time.Millisecond,
		Unacked:       info.Unacked,
	}
	t.unsent = info.Notsent_bytes > 0
	if info.Min_rtt == ^uint32(0) { // no sample yet
		t.TCP.MinRTT = 0
	}
	t.evidence.Received, t.evidence.Acked = info.Bytes_received, info.Bytes_acked
}
