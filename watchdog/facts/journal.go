// Package journal keeps on disk what Lifeline has learnt and seen: small facts
// by name (capacities, base RTTs, management hosts) and a bounded list of
// events. It is written by a task of its own, for which nobody waits: where
// the disk is full, slow or broken, control goes on and Health says so.
package facts

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"lifeline/watchdog/store"
)

// File is the journal's name in the state directory.
const File = "journal.db"

const (
	maxEvents  = 20000 // kept on disk
	maxPending = 1024  // events that wait for the disk; more are dropped and counted
	flushEvery = 2 * time.Second
	trimSlack  = 256 // events over the bound before a trim is worth a transaction
	maxValue   = 1 << 20
	maxEvent   = 2 << 10 // bytes of an event on disk; a longer one loses its data, so that all take at most 40 MB
	mostResets = 3       // a journal damaged more often is given up until the next start
)

var (
	factsBucket  = []byte("facts")
	eventsBucket = []byte("events")
)

// Event is one thing that happened: a condition raised or cleared, a decision
// of note, a start or stop.
type Event struct {
	At   time.Time      `json:"at"`
	Kind string         `json:"kind"`
	Text string         `json:"text"`
	Data map[string]any `json:"data,omitempty"`
}

// Health is how the journal does.
type Health struct {
	Err     string `json:"error,omitempty"` // of the last write; empty when it went well
	Dropped uint64 `json:"dropped"`         // events that found no room
	// Back is when it was opened, where that was not possible at the start.
	Back time.Time `json:"back,omitzero"`
	// Mended says what became of a file that was damaged or deleted under the
	// running daemon; empty where none was.
	Mended string `json:"mended,omitempty"`
}

// Store is an open store of facts.
type Store struct {
	db     atomic.Pointer[store.DB] // nil once it was damaged too often
	path   string
	resets int // by the task alone
	late   *late

	mu     sync.Mutex
	facts  map[string]json.RawMessage // waiting
	events []Event                    // waiting
	health Health
	kick   chan struct{}
	aside  string // where a broken journal was put, for the log
	said   func(string)
}

// Open opens or makes the journal in dir. A file that is no journal, or a
// broken one, is put aside under another name and a new one begun: what it
// held can be learnt again.
func Open(dir string) (*Store, error) {
	j := newStore(dir)
	if err := j.open(); err != nil {
		return nil, err
	}
	return j, nil
}

func newStore(dir string) *Store {
	return &Store{path: filepath.Join(dir, File), facts: map[string]json.RawMessage{}, kick: make(chan struct{}, 1)}
}

func (j *Store) open() error {
	db, err := openDB(j.path)
	if store.Damaged(err) {
		db, err = j.anew()
	}
	if err != nil {
		return fmt.Errorf("journal %w", err)
	}
	j.db.Store(db)
	return nil
}

// anew puts the damaged file aside, in place of an earlier one, and begins a new
// one. The old one is neither closed nor unlocked: a store that panicked may
// hold its own locks for ever.
func (j *Store) anew() (*store.DB, error) {
	aside, err := store.PutAside(j.path)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	j.aside = aside
	j.mu.Unlock()
	return openDB(j.path)
}

// openDB opens the store and makes its buckets.
func openDB(path string) (*store.DB, error) {
	db, err := store.Open(path, store.Options{})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{factsBucket, eventsBucket} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	switch {
	case err == nil:
		return db, nil
	case !store.Damaged(err):
		err = errors.Join(err, db.Close())
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

// PutAside is where a broken journal went when this one was opened; empty when
// there was none.
func (j *Store) PutAside() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.aside
}

// Get reads the fact of that name into v and tells whether there was one.
func (j *Store) Get(name string, v any) (bool, error) {
	var raw []byte
	err := j.view(func(tx *bbolt.Tx) error {
		raw = append(raw, tx.Bucket(factsBucket).Get([]byte(name))...)
		return nil
	})
	if err != nil || len(raw) == 0 {
		return false, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("journal: fact %q: %w", name, err)
	}
	return true, nil
}

var errGivenUp = errors.New("damaged too often: nothing is remembered until the next start")

func (j *Store) view(f func(*bbolt.Tx) error) error {
	db := j.db.Load()
	if db == nil {
		return j.absent()
	}
	err := db.View(f)
	if store.Damaged(err) {
		j.db.CompareAndSwap(db, nil) // its locks may be held for ever: the task begins anew
	}
	return err
}

// Put remembers a fact; the latest of a name wins. It does not wait.
func (j *Store) Put(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("journal: fact %q: %w", name, err)
	}
	if len(raw) > maxValue {
		return fmt.Errorf("journal: fact %q: %d bytes are too many", name, len(raw))
	}
	j.mu.Lock()
	j.facts[name] = raw
	j.mu.Unlock()
	return nil
}

// Add notes an event. It does not wait; where too many wait already, it is
// counted as dropped.
func (j *Store) Add(e Event) {
	j.mu.Lock()
	if len(j.events) < maxPending {
		j.events = append(j.events, e)
	} else {
		j.health.Dropped++
	}
	j.mu.Unlock()
	select {
	case j.kick <- struct{}{}:
	default:
	}
}

// Health tells how the journal does.
func (j *Store) Health() Health {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.health
}

// String names the task.
func (j *Store) String() string { return "journal" }

// Run writes what was put and added, until ctx ends; then it writes the rest
// and closes the file.
func (j *Store) Run(ctx context.Context) error {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			j.flush()
			if db := j.db.Load(); db != nil {
				return db.Close()
			}
			return nil
		case <-t.C:
		case <-j.kick:
		}
		j.flush()
	}
}

// flush writes what waits. What could not be written waits on, within bounds.
func (j *Store) flush() {
	j.mu.Lock()
	facts, events := j.facts, j.events
	j.facts, j.events = map[string]json.RawMessage{}, nil
	j.mu.Unlock()
	err := j.restore()
	if err == nil && len(facts) == 0 && len(events) == 0 && j.db.Load() != nil && j.Health().Err == "" {
		return
	}
	if err == nil {
		err = j.usable()
	}
	if err == nil {
		err = j.write(facts, events)
	}
	if store.Damaged(err) {
		j.db.Store(nil)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if err == nil {
		j.health.Err = ""
		return
	}
	j.health.Err = err.Error()
	for k, v := range facts {
		if _, newer := j.facts[k]; !newer {
			j.facts[k] = v
		}
	}
	room := max(0, maxPending-len(j.events))
	j.health.Dropped += uint64(max(0, len(events)-room))
	j.events = append(events[max(0, len(events)-room):], j.events...)
}

// usable begins a damaged journal anew; what is to be written waits for that.
func (j *Store) usable() error {
	if j.db.Load() != nil {
		return nil
	}
	if j.late.waits() {
		return j.tryAgain(time.Now())
	}
	if j.resets++; j.resets > mostResets {
		return errGivenUp
	}
	db, err := j.anew()
	if err != nil {
		return fmt.Errorf("journal %w", err)
	}
	j.db.Store(db)
	j.note("the journal was damaged; it is put aside as " + j.PutAside() + " and a new one begun")
	return nil
}

func (j *Store) write(facts map[string]json.RawMessage, events []Event) error {
	db := j.db.Load()
	if db == nil {
		return j.absent()
	}
	return db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(factsBucket)
		for k, v := range facts {
			if err := b.Put([]byte(k), j.late.joined(k, b.Get([]byte(k)), v)); err != nil {
				return err
			}
		}
		return appendEvents(tx.Bucket(eventsBucket), events)
	})
}

// encode writes an event, within its bound.
func encode(e Event) ([]byte, error) {
	raw, err := json.Marshal(e)
	if err != nil || len(raw) <= maxEvent {
		return raw, err
	}
	e.Data = nil
	e.Text = strings.ToValidUTF8(e.Text[:min(len(e.Text), maxEvent/8)], "") // JSON may write a byte as six
	return json.Marshal(e)
}

// appendEvents adds events under rising numbers and drops the oldest over the
// bound.
func appendEvents(b *bbolt.Bucket, events []Event) error {
	for _, e := range events {
		seq, err := b.NextSequence()
		if err != nil {
			return err
		}
		raw, err := encode(e)
		if err != nil {
			return err
		}
		if err := b.Put(binary.BigEndian.AppendUint64(nil, seq), raw); err != nil {
			return err
		}
	}
	last := b.Sequence()
	c := b.Cursor()
	k, _ := c.First()
	if k == nil || last-binary.BigEndian.Uint64(k) < maxEvents+trimSlack {
		return nil
	}
	for ; k != nil && last-binary.BigEndian.Uint64(k) >= maxEvents; k, _ = c.First() {
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}

// Events gives the last n events, oldest first.
func (j *Store) Events(n int) ([]Event, error) {
	var out []Event
	err := j.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(eventsBucket).Cursor()
		for k, v := c.Last(); k != nil && len(out) < n; k, v = c.Prev() {
			var e Event
			if err := json.Unmarshal(v, &e); err != nil {
				e = Event{Kind: "damaged", Text: "an event that cannot be read"}
			}
			out = append(out, e)
		}
		return nil
	})
	for i, k := 0, len(out)-1; i < k; i, k = i+1, k-1 {
		out[i], out[k] = out[k], out[i]
	}
	return out, err
}
