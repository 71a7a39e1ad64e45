package control

import (
	"math"
	"slices"
)

// flowTable holds the transfers of this step, each with what is remembered of it.
type flowTable struct {
	flows    []Flow // of this step, sanitized, in the table's own memory
	entries  []flowEntry
	records  map[string]*flowRecord
	updates  uint64
	complete bool    // every transfer was measured in this step
	newest   float64 // s, when the newest transfer was first seen
	grace    float64 // s, when new transfers last began to excuse a queue
	left     []int64 // scratch
}

// flowEntry is one transfer in one step.
type flowEntry struct {
	flow  *Flow
	rec   *flowRecord
	share float64 // bytes/s of the budget; of the last step until it is divided anew
}

// flowRecord is what is remembered of a transfer between steps.
type flowRecord struct {
	updated uint64  // the last update of the table that saw it
	bytes   uint64  // that it had moved by then
	share   float64 // bytes/s, as last given
	raised  float64 // s, when the share last grew much
	demand  float64 // bytes/s that it uses of more; 0 when it takes all
	paused  bool
	since   float64 // s, start of the present run or pause

	offered    float64 // bytes, what may still come of the windows that it was offered
	meanWindow float64 // bytes, the mean of that over about the second of its rate
	inflight   float64 // bytes in the network, the mean of about a second
	rtt        float64 // s, its longest RTT of about the last second
}

const (
	// initialWindow in bytes is what Linux offers before anything has come.
	initialWindow = 64 << 10
	// startupFor is for how many seconds, beyond the feedback delay, the first bursts
	// of a transfer are on the way: no limit has met them yet.
	startupFor = 0.4
	// graceEvery is the time in seconds within which new transfers excuse a queue
	// only once.
	graceEvery = 3.0
)

// update matches the transfers with what is remembered of them, and forgets those
// that ended. It returns the bytes that they have moved since the last step.
func (t *flowTable) update(in *Input, now float64, dryRun bool) (moved float64) {
	t.updates++
	t.entries = t.entries[:0]
	t.complete = true
	for i := range in.Flows {
		f := &in.Flows[i]
		r := t.records[f.ID]
		if r == nil {
			r = t.add(f.ID, now)
		}
		if r.updated > 0 && f.Bytes > r.bytes {
			moved += float64(f.Bytes - r.bytes)
			r.offered -= float64(f.Bytes - r.bytes)
		}
		r.updated, r.bytes = t.updates, f.Bytes
		if dryRun { // what would be paused runs all the same
			r.paused = false
		}
		t.complete = t.complete && !f.Stale
		t.entries = append(t.entries, flowEntry{flow: f, rec: r, share: r.share})
	}
	t.removeEnded()
	return moved
}

func (t *flowTable) add(id string, now float64) *flowRecord {
	r := &flowRecord{since: now, raised: now, offered: initialWindow, meanWindow: initialWindow}
	t.records[id] = r
	t.newest = now
	if now-t.grace > graceEvery {
		t.grace = now
	}
	return r
}

func (t *flowTable) removeEnded() {
	if len(t.records) == len(t.entries) {
		return
	}
	for id, r := range t.records {
		if r.updated != t.updates {
			delete(t.records, id)
		}
	}
}

// starting says that the first bursts of transfers may still be on the way: the
// delay rises and falls with them.
func (t *flowTable) starting(now, loop float64) bool { return now-t.newest < startupFor+loop }

// inGrace says that a queue may be the burst of new transfers, which no limit has
// met yet: it says nothing of what the link bears.
func (t *flowTable) inGrace(now, loop float64) bool { return now-t.grace < startupFor+loop }

// resumeAll forgets who is paused.
func (t *flowTable) resumeAll() {
	for _, r := range t.records {
		r.paused = false
	}
}

// runs says that a transfer is neither paused by us nor by the operator.
func (f *flowEntry) runs() bool {
	return !f.rec.paused && !(f.flow.Pinned.Pause && f.flow.Pausable)
}

// idles says that a transfer moves nothing, and not because of us: it gets what it can
// begin with, of which nothing is taken off the others, however many there are.
func (f *flowEntry) idles(m mode) bool {
	return f.flow.Idle && !f.flow.Stopped && m != draining && m != simulating
}

// counts fills in how many transfers there are of each kind, their own rates and
// the mean of their paths' RTTs.
func (t *flowTable) counts(s *sample, m mode) {
	rates, rtts, awake := 0.0, 0.0, 0
	for i := range t.entries {
		f := &t.entries[i]
		if f.flow.Limitable {
			rates += f.flow.Rate // also of one that was paused within the last second
		}
		if f.rec.paused {
			continue
		}
		s.running++
		if !f.flow.Limitable {
			continue
		}
		s.limitable++
		if f.flow.Unenforced {
			s.unenforced++
		}
		if !f.idles(m) { // else its RTT is an old one
			rtts += pathRTT(f.flow, s.base)
			awake++
		}
	}
	s.rtt = s.base
	if awake > 0 {
		s.rtt = max(s.base, rtts/float64(awake))
	}
	s.flowRate = rates * wire
}

// leastInflation is the least queue in seconds that one of the transfers' own
// smoothed RTTs tells of; infinite where none tells anything.
func (t *flowTable) leastInflation(m mode) float64 {
	least := math.Inf(1)
	for i := range t.entries {
		f := &t.entries[i]
		if f.flow.Limitable && f.runs() && !f.idles(m) && f.flow.MinRTT > 0 && f.flow.RTT > 0 {
			least = min(least, seconds(f.flow.RTT-f.flow.MinRTT))
		}
	}
	return least
}

// medianRemaining is the median of what is known to be left, 0 when nothing is.
func (t *flowTable) medianRemaining() float64 {
	t.left = t.left[:0]
	for i := range t.entries {
		if r := t.entries[i].flow.Remaining; r > 0 {
			t.left = append(t.left, r)
		}
	}
	if len(t.left) == 0 {
		return 0
	}
	slices.Sort(t.left)
	return float64(t.left[len(t.left)/2])
}

// pathRTT is the RTT of a transfer's empty path in seconds.
func pathRTT(f *Flow, base float64) float64 {
	if r := seconds(f.MinRTT); r > 0 {
		return min(r, 1)
	}
	if base > 0 {
		return base
	}
	return 1e-3
}
