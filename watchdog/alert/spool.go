package alert

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"lifeline/watchdog/store"
)

const (
	// patience is how long an alert waits for a disk that does not take it. Then
	// it is sent all the same: one that a crash may lose is better than one
	// withheld.
	patience = 3 * time.Second
	// mostFresh bounds what waits in memory for the disk.
	mostFresh = 4000
	// mostBatch and batchShare bound one transaction: in events, and as a part of
	// SpoolMax, so that it fits above the high watermark.
	mostBatch  = 1000
	batchShare = 64
	// mostDead bounds the dead letters of one receiver.
	mostDead = 1000
	// mostResets is how often a damaged file is begun anew before the disk is
	// given up until the next start.
	mostResets = 3
	// settleDelay gathers what receivers took into one transaction. A crash
	// within it makes those alerts be sent twice.
	settleDelay = 50 * time.Millisecond
	// historyShare is the part of the file that the history may fill.
	historyShare = 4
	// lookForFile is how often a spool that nothing is written to looks whether
	// its file is still there.
	lookForFile = 5 * time.Second
	firstPause  = time.Second // after a write that failed
	longPause   = 10 * time.Second
)

// entry is an event that is not on disk yet.
type entry struct {
	batchEntry
	since time.Time
}

// counts are the figures of one receiver's queue.
type counts struct {
	pending int
	dead    int
	drops   dropRecord
}

// spoolHealth is how the spool does.
type spoolHealth struct {
	err    string
	aside  string
	bytes  int64
	resets int
	// restored is when a file was written again that somebody had deleted.
	restored time.Time
}

// spool keeps events until their receivers have taken them: in memory until
// the disk has them, then on disk. All but its run, and what reads lists for
// people, only ever waits for a lock that is not held during disk work.
type spool struct {
	path       string
	max        int64
	historyMax int
	log        *slog.Logger
	receivers  []string // configured
	now        func() time.Time
	wake       func()                               // something can be sent
	loaded     func(map[slot][]byte)                // called with what an opened file holds
	openFile   func(path string) (*store.DB, error) // openStore, or a test's

	db   atomic.Pointer[store.DB]
	kick chan struct{} // something is to be written at once
	soon chan struct{} // something is to be written

	mu      sync.Mutex
	last    uint64 // sequence number
	fresh   []*entry
	flying  int // of fresh, those that are being written
	endings []ending
	puts    map[slot][]byte
	kept    map[slot][]byte            // what the plain buckets hold and the running daemon owns
	done    map[string]map[uint64]bool // by receiver: events whose end is not on disk yet; true: refused
	counts  map[string]*counts
	history volume // on disk
	health  spoolHealth
	known   bool // a file was read once: from then on memory knows best
}

func newSpool(path string, max int64, historyMax int, receivers []string, log *slog.Logger) *spool {
	s := &spool{
		path: path, max: max, historyMax: historyMax, receivers: receivers, log: log, now: time.Now,
		wake: func() {}, loaded: func(map[slot][]byte) {}, openFile: openStore,
		kick: make(chan struct{}, 1), soon: make(chan struct{}, 1),
		puts: map[slot][]byte{}, kept: map[slot][]byte{},
		done: map[string]map[uint64]bool{}, counts: map[string]*counts{},
	}
	for _, r := range receivers {
		s.counts[r] = &counts{}
		s.done[r] = map[uint64]bool{}
	}
	return s
}

// count gives a receiver's figures; the lock is held.
func (s *spool) count(receiver string) *counts {
	c := s.counts[receiver]
	if c == nil {
		c = &counts{}
		s.counts[receiver] = c
	}
	return c
}

// append takes events and values. It does not wait for the disk.
func (s *spool) append(events []batchEntry, puts map[slot][]byte) {
	if len(events) == 0 && len(puts) == 0 {
		return
	}
	s.mu.Lock()
	now := s.now()
	for _, e := range events {
		s.last = max(s.last+1, uint64(now.UnixNano()))
		e.seq = s.last
		s.fresh = append(s.fresh, &entry{e, now})
		for _, t := range e.to {
			s.count(t.receiver).pending++
		}
	}
	s.keep(puts)
	s.boundFresh()
	s.mu.Unlock()
	poke(s.kick)
}

// put takes values only, without hurry.
func (s *spool) put(puts map[slot][]byte) {
	s.mu.Lock()
	s.keep(puts)
	s.mu.Unlock()
	poke(s.soon)
}

// keep notes values to be written; the lock is held. What the running daemon
// owns is remembered, so that a file begun anew holds it again.
func (s *spool) keep(puts map[slot][]byte) {
	for k, v := range puts {
		s.puts[k] = v
		switch {
		case k.bucket == string(bucketHistory):
		case v == nil:
			delete(s.kept, k)
		default:
			s.kept[k] = v
		}
	}
}

func dropSlot(receiver string) slot { return slot{string(bucketMeta), "dropped/" + receiver} }

// end takes note that an event's way to a receiver is over. It does not wait.
func (s *spool) end(x ending) {
	s.mu.Lock()
	if s.done[x.receiver] == nil {
		s.done[x.receiver] = map[uint64]bool{}
	}
	if _, twice := s.done[x.receiver][x.seq]; !twice {
		s.done[x.receiver][x.seq] = x.dead != nil
		s.endings = append(s.endings, x)
	}
	s.mu.Unlock()
	poke(s.soon)
}

// unwritten tells whether events wait for the disk.
func (s *spool) unwritten() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fresh) > 0
}

// poke wakes whoever listens, once.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
