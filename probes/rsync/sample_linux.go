package rsync

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// Bounds on what one Sample does beside measuring, so that it always takes
// about as long: the rest has its turn in the next ones.
const (
	statesPerSample = 4               // or one in statesPart
	statesPart      = 16              // of the transfers
	stateEvery      = 2 * time.Second // while bytes move: a stopped receiver fills its buffer first
	filesPerSample  = 8
	fileEvery       = 2 * time.Second
	fileAfter       = 300 * time.Millisecond // before, it has its libraries open
	measuredYoung   = 5 * time.Second        // measured with every sample
	measureEvery    = 150 * time.Millisecond // later: every other sample, all in the same ones
	distantEvery    = time.Second            // those that are only counted
	distantFile     = 10 * time.Second
	stalledAfter    = 5 * time.Second // without a sign of life from discovery
)

// Sample measures all transfers, the oldest first. now is the monotonic time
// of the daemon. What could not be looked at is in the errors.
func (p *Probe) Sample(now time.Duration) ([]watchdog.Transfer, []watchdog.ProbeError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	up := uptime()
	p.lookForNew()
	p.readStates(now)
	p.beginSample(now)
	out := make([]watchdog.Transfer, 0, len(p.transfers))
	for _, t := range p.transfers {
		if p.sample(t, now, up) {
			out = append(out, t.Transfer)
		}
	}
	slices.SortFunc(out, func(a, b watchdog.Transfer) int {
		return cmp.Or(cmp.Compare(a.Procs[0].Start, b.Procs[0].Start), cmp.Compare(a.ID, b.ID))
	})
	p.askForFiles(time.Now())
	return out, p.errors(time.Now())
}

// lookForNew has discovery look at new processes where no event tells of them.
func (p *Probe) lookForNew() {
	if p.capability.Available {
		return
	}
	if last, err := p.proc.lastPID(); err == nil && last != p.lastPID {
		p.look(0)
	}
}

// errors lists what discovery could not do.
func (p *Probe) errors(now time.Time) []watchdog.ProbeError {
	failures := slices.Clone(p.failures)
	if quiet := now.Sub(p.alive); !p.alive.IsZero() && quiet > stalledAfter {
		failures = append(failures, watchdog.ProbeError{
			Probe: "rsync: discovery", Err: "no sign of life for " + quiet.Round(time.Second).String(),
		})
	}
	return failures
}

// sample measures one transfer and says whether it is to be shown.
func (p *Probe) sample(t *transfer, now, up time.Duration) bool {
	t.Age = max(0, up-sinceBoot(t.Procs[0]))
	if t.Socket.Inode == 0 {
		return t.visible
	}
	if t.TCP.Known && !p.due(t, now) {
		return t.visible // as it was: each look costs several system calls
	}
	t.Measured = now
	if !p.measure(t) {
		p.lookAgain(t)
		return t.visible && p.runs(t)
	}
	if !t.sure {
		t.judge()
	}
	before := t.Bytes
	t.Bytes = t.TCP.BytesReceived
	if t.Direction == watchdog.Tx {
		t.Bytes = t.TCP.BytesAcked
	}
	t.moves = t.Bytes > before
	t.Rate = t.meter.add(now, t.Bytes)
	return t.visible
}

// distant says whether a transfer is only counted, and never touched.
func (p *Probe) distant(t *transfer) bool { return t.Foreign && !p.opts.ForeignNetns }

// beginSample says whether this sample measures the old transfers too.
func (p *Probe) beginSample(now time.Duration) {
	p.whole = p.wholeAt == 0 || now-p.wholeAt >= measureEvery
	if p.whole {
		p.wholeAt = now
	}
}

// due says whether a transfer is measured by this sample. The old ones are so by
// the same samples, whenever each became old: bytes that are counted in turns
// look like bursts that no link could have passed.
func (p *Probe) due(t *transfer, now time.Duration) bool {
	if p.distant(t) {
		return now-t.Measured >= distantEvery
	}
	return t.Age <= measuredYoung || p.whole
}

// ticks is USER_HZ, the unit of start times, which is 100 on all
// architectures that Go knows.
const ticks = 100

// sinceBoot is when a process was started.
func sinceBoot(id watchdog.ProcID) time.Duration {
	return time.Duration(id.Start) * (time.Second / ticks)
}

// runs says whether any process of a transfer still runs.
func (p *Probe) runs(t *transfer) bool {
	return slices.ContainsFunc(t.Procs, func(id watchdog.ProcID) bool {
		st, err := p.sockets.stat(id)
		return err == nil && st.State != 'Z' && st.State != 'X'
	})
}

// lookAgain has discovery read a transfer's processes.
func (p *Probe) lookAgain(t *transfer) {
	for _, id := range t.Procs {
		p.look(id.PID)
	}
	for _, ref := range t.Socket.Refs {
		p.look(ref.Proc.PID)
	}
}

// look has discovery read a process again.
func (p *Probe) look(pid int) {
	select {
	case p.recheck <- pid:
	default: // it has much to do already
	}
}

// readStates reads of some transfers whether a process of them is stopped, in
// turns: /proc/PID/stat is the dearest of all that is read regularly. Those
// whose bytes move have their turn less often.
func (p *Probe) readStates(now time.Duration) {
	left := max(statesPerSample, len(p.transfers)/statesPart)
	for range len(p.transfers) {
		if len(p.turns) == 0 {
			for id := range p.transfers {
				p.turns = append(p.turns, id)
			}
		}
		last := len(p.turns) - 1
		t := p.transfers[p.turns[last]]
		p.turns = p.turns[:last]
		if t == nil || t.moves && now-t.stated < stateEvery/time.Duration(len(t.Procs)) {
			continue
		}
		t.stated = now
		p.readState(t)
		if left--; left == 0 {
			return
		}
	}
}

func (p *Probe) readState(t *transfer) {
	if len(t.stopped) != len(t.Procs) {
		t.stopped = make([]bool, len(t.Procs))
	}
	t.turn = (t.turn + 1) % len(t.Procs)
	id := t.Procs[t.turn]
	st, err := p.sockets.stat(id)
	t.stopped[t.turn] = err == nil && st.State == 'T'
	t.Stopped = slices.Contains(t.stopped, true)
}

// measure reads the connection's struct tcp_info through the first holder
// that still has it, or by sock_diag where a duplicate is not to be had.
// Without any, nothing is known.
func (p *Probe) measure(t *transfer) bool {
	barred := false
	for _, ref := range t.Socket.Refs {
		err := p.sockets.with(ref, t.Socket.Inode, func(sock int) error {
			info, scales, err := tcpInfo(sock)
			if err == nil {
				t.take(&info, scales)
			}
			return err
		})
		if err == nil {
			return true
		}
		barred = barred || !errors.Is(err, errGone)
	}
	if barred && !t.Foreign {
		if info, scales, err := p.diag.tcpInfo(t.Socket); err == nil {
			t.take(&info, scales)
			return true
		}
	}
	t.TCP = watchdog.TCP{}
	return false
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
	if info.Min_rtt == ^uint32(0) { // no sample yet
		t.TCP.MinRTT = 0
	}
	t.proof.Received, t.proof.Acked = info.Bytes_received, info.Bytes_acked
}

// fileRequest asks for the file that a transfer is at.
type fileRequest struct {
	id    watchdog.TransferID
	procs []watchdog.ProcID
	first int // descriptor
	last  opened
	write bool // it receives
}

// askForFiles has some transfers' files looked up, those first that waited
// longest.
func (p *Probe) askForFiles(now time.Time) {
	if len(p.files) > 0 {
		return // not done with the last ones
	}
	var due []*transfer
	for _, t := range p.transfers {
		every := fileEvery
		if p.distant(t) {
			every = distantFile
		}
		if t.visible && now.Sub(t.looked) >= every && now.Sub(t.since) >= fileAfter {
			due = append(due, t)
		}
	}
	if len(due) == 0 {
		return
	}
	slices.SortFunc(due, func(a, b *transfer) int { return a.looked.Compare(b.looked) })
	var requests []fileRequest
	for _, t := range due[:min(len(due), filesPerSample)] {
		t.looked = now
		requests = append(requests, fileRequest{
			id: t.ID, procs: t.Procs, first: firstFD(t.Via), last: t.file, write: t.Direction == watchdog.Rx,
		})
	}
	p.files <- requests
}

// lookUpFiles answers until the context ends, apart from everything else: a
// dead file system can hang whoever asks it.
func (p *Probe) lookUpFiles(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case requests := <-p.files:
			answers, ok := patiently(ctx, func() []opened {
				var answers []opened
				for _, r := range requests {
					answers = append(answers, p.fileOf(r))
				}
				return answers
			})
			if !ok {
				return nil
			}
			p.mu.Lock()
			for i, r := range requests {
				if t := p.transfers[r.id]; t != nil {
					t.file, t.File = answers[i], answers[i].File
				}
			}
			p.mu.Unlock()
		}
	}
}

// fileOf looks one up. A pid that changed hands meanwhile shows nothing.
func (p *Probe) fileOf(r fileRequest) opened {
	file := nothing
	if r.last.found() && r.last.writes == r.write {
		file = p.proc.again(r.last, p.proc.fileSize)
	}
	if !file.found() {
		pids := make([]int, 0, len(r.procs))
		for _, id := range r.procs {
			pids = append(pids, id.PID)
		}
		file = p.proc.openFile(pids, r.first, p.proc.fileSize)
	}
	for _, id := range r.procs {
		if id.PID == file.pid && !p.sockets.lives(id) {
			return nothing
		}
	}
	return file
}
