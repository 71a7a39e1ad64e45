package spool

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"lifeline/watchdog/store"
)

// update runs one transaction. A damaged file is put aside.
func (s *Spool) update(db *store.DB, f func(*transaction) error) error {
	err := db.Update(func(tx *bbolt.Tx) error { return f(newTables(tx)) })
	return s.check(db, err)
}

// view reads. A damaged file is put aside.
func (s *Spool) view(f func(*transaction) error) error {
	db := s.db.Load()
	if db == nil {
		return errors.New("the spool is not on disk")
	}
	err := db.View(func(tx *bbolt.Tx) error { return f(newTables(tx)) })
	return s.check(db, err)
}

const (
	// diskPatience is how long an alert waits for a disk that does not take it. Then
	// it is sent all the same: one that a crash may lose is better than one
	// withheld.
	diskPatience = 3 * time.Second
	// maxUnwritten bounds what waits in memory for the disk.
	maxUnwritten = 4000
	// maxBatch and batchShare bound one transaction: in events, and as a part of
	// SpoolMax, so that it fits above the high watermark.
	maxBatch   = 1000
	batchShare = 64
	// maxDeadLetters bounds the dead letters of one receiver.
	maxDeadLetters = 1000
	// maxResets is how often a damaged file is begun anew before the disk is
	// given up until the next start.
	maxResets = 3
	// batchDelay gathers what receivers took into one transaction. A crash
	// within it makes those alerts be sent twice.
	batchDelay = 50 * time.Millisecond
	// historyShare is the part of the file that the history may fill.
	historyShare = 4
	// fileCheckInterval is how often a spool that nothing is written to looks whether
	// its file is still there.
	fileCheckInterval = 5 * time.Second
	minWritePause     = time.Second // after a write that failed
	maxWritePause     = 10 * time.Second
)

// unwrittenEvent is an event that is not on disk yet.
type unwrittenEvent struct {
	queuedEvent
	since time.Time
}

// counts are the figures of one receiver's queue.
type counts struct {
	pending int
	dead    int
	drops   DropRecord
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

// Spool keeps events until their receivers have taken them: in memory until
// the disk has them, then on disk. All but its run, and what reads lists for
// people, only ever waits for a lock that is not held during disk work.
type Spool struct {
	path       string
	max        int64
	historyMax int
	log        *slog.Logger
	receivers  []string // configured
	now        func() time.Time
	onReadable func()                               // something can be sent
	onLoad     func(State)                          // called with what the first file that is opened holds
	openDB     func(path string) (*store.DB, error) // openStore, or a test's

	db   atomic.Pointer[store.DB]
	kick chan struct{} // something is to be written at once
	soon chan struct{} // something is to be written

	packing sync.Mutex // held while events are packed, so that they keep their order
	packer  packer

	mu          sync.Mutex
	lastSeq     uint64 // sequence number
	unwritten   []*unwrittenEvent
	writing     int // of unwritten, those that are in a transaction
	completions []Completion
	puts        map[key][]byte
	kept        map[key][]byte             // what the plain buckets hold and the running daemon owns
	completed   map[string]map[uint64]bool // by receiver: events whose end is not on disk yet; true: refused
	counts      map[string]*counts
	stored      volume // on disk
	health      spoolHealth
	loadedOnce  bool // a file was read once: from then on memory knows best
}

// Config is what a spool is made of.
type Config struct {
	Path       string
	Max        int64    // bytes on disk
	HistoryMax int      // incidents remembered
	Receivers  []string // the configured ones
	Log        *slog.Logger
	OnReadable func()                               // called when something can be sent
	OnLoad     func(State)                          // called with what the first file that is opened holds
	Open       func(path string) (*store.DB, error) // openStore, or a test's
}

func New(c Config) *Spool {
	s := &Spool{
		path: c.Path, max: c.Max, historyMax: c.HistoryMax, receivers: c.Receivers, log: c.Log, now: time.Now,
		onReadable: c.OnReadable, onLoad: c.OnLoad, openDB: c.Open,
		kick: make(chan struct{}, 1), soon: make(chan struct{}, 1),
		puts: map[key][]byte{}, kept: map[key][]byte{},
		completed: map[string]map[uint64]bool{}, counts: map[string]*counts{},
	}
	for _, r := range c.Receivers {
		s.counts[r] = &counts{}
		s.completed[r] = map[uint64]bool{}
	}
	return s
}

// count gives a receiver's figures; the lock is held.
func (s *Spool) count(receiver string) *counts {
	c := s.counts[receiver]
	if c == nil {
		c = &counts{}
		s.counts[receiver] = c
	}
	return c
}

// append takes events and values. It does not wait for the disk.
func (s *Spool) append(events []queuedEvent, puts map[key][]byte) {
	if len(events) == 0 && len(puts) == 0 {
		return
	}
	s.mu.Lock()
	now := s.now()
	for _, e := range events {
		s.lastSeq = max(s.lastSeq+1, uint64(now.UnixNano()))
		e.seq = s.lastSeq
		s.unwritten = append(s.unwritten, &unwrittenEvent{e, now})
		for _, t := range e.to {
			s.count(t.Receiver).pending++
		}
	}
	s.keep(puts)
	s.boundMemory()
	s.mu.Unlock()
	poke(s.kick)
}

// put takes values only, without hurry.
func (s *Spool) put(puts map[key][]byte) {
	s.mu.Lock()
	s.keep(puts)
	s.mu.Unlock()
	poke(s.soon)
}

// keep notes values to be written; the lock is held. What the running daemon
// owns is remembered, so that a file begun anew holds it again.
func (s *Spool) keep(puts map[key][]byte) {
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

func dropSlot(receiver string) key { return key{string(bucketMeta), "dropped/" + receiver} }

// Complete takes note that an event's way to a receiver is over. It does not wait.
func (s *Spool) Complete(x Completion) {
	s.mu.Lock()
	if s.completed[x.Receiver] == nil {
		s.completed[x.Receiver] = map[uint64]bool{}
	}
	if _, twice := s.completed[x.Receiver][x.Seq]; !twice {
		s.completed[x.Receiver][x.Seq] = x.Refused != nil
		s.completions = append(s.completions, x)
	}
	s.mu.Unlock()
	poke(s.soon)
}

// HasUnwritten tells whether events wait for the disk.
func (s *Spool) HasUnwritten() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.unwritten) > 0
}
