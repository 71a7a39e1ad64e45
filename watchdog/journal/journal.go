// Package journal keeps on disk what Lifeline has learnt and seen: small facts
// by name (capacities, base RTTs, management hosts) and a bounded list of
// events. It is written by a task of its own, for which nobody waits: where
// the disk is full, slow or broken, control goes on and Health says so.
package journal

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// File is the journal's name in the state directory.
const File = "journal.db"

const (
	maxEvents  = 20000 // kept on disk
	maxPending = 1024  // events that wait for the disk; more are dropped and counted
	lockWait   = time.Second
	flushEvery = 2 * time.Second
	trimSlack  = 256 // events over the bound before a trim is worth a transaction
	maxValue   = 1 << 20
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
}

// Journal is an open journal.
type Journal struct {
	db *bbolt.DB

	mu     sync.Mutex
	facts  map[string]json.RawMessage // waiting
	events []Event                    // waiting
	health Health
	kick   chan struct{}
	aside  string // where a broken journal was put, for the log
}

// Open opens or makes the journal in dir. A file that is no journal, or a
// broken one, is put aside under another name and a new one begun: what it
// held can be learnt again.
func Open(dir string) (*Journal, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	path := filepath.Join(dir, File)
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("journal %s: not a regular file (%s): move it away", path, st.Mode().Type())
	}
	j := &Journal{facts: map[string]json.RawMessage{}, kick: make(chan struct{}, 1)}
	db, err := openDB(path)
	if broken(err) {
		j.aside = fmt.Sprintf("%s.broken-%d", path, time.Now().Unix())
		if err := os.Rename(path, j.aside); err != nil {
			return nil, fmt.Errorf("journal %s: put aside: %w", path, err)
		}
		db, err = openDB(path)
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("journal %s: in use by another process", path)
	}
	if err != nil {
		return nil, fmt.Errorf("journal %s: %w", path, err)
	}
	j.db = db
	return j, nil
}

// errPanic is a panic of the store on a damaged page.
var errPanic = errors.New("damaged")

func broken(err error) bool {
	return errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) ||
		errors.Is(err, bolterrors.ErrVersionMismatch) || errors.Is(err, errPanic)
}

// openDB opens the store and makes its buckets.
func openDB(path string) (db *bbolt.DB, err error) {
	db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	err = contain(func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			for _, name := range [][]byte{factsBucket, eventsBucket} {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil && !errors.Is(err, errPanic) {
		return nil, errors.Join(err, db.Close())
	}
	return db, err
}

// contain turns a panic of the store, which it answers damage with, into an
// error: a bad disk must not end the daemon.
func contain(f func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return f()
}

// PutAside is where a broken journal went when this one was opened; empty when
// there was none.
func (j *Journal) PutAside() string { return j.aside }

// Get reads the fact of that name into v and tells whether there was one.
func (j *Journal) Get(name string, v any) (bool, error) {
	var raw []byte
	err := contain(func() error {
		return j.db.View(func(tx *bbolt.Tx) error {
			raw = append(raw, tx.Bucket(factsBucket).Get([]byte(name))...)
			return nil
		})
	})
	if err != nil || len(raw) == 0 {
		return false, err
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return false, fmt.Errorf("journal: fact %q: %w", name, err)
	}
	return true, nil
}

// Put remembers a fact; the latest of a name wins. It does not wait.
func (j *Journal) Put(name string, v any) error {
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
func (j *Journal) Add(e Event) {
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
func (j *Journal) Health() Health {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.health
}

// String names the task.
func (j *Journal) String() string { return "journal" }

// Run writes what was put and added, until ctx ends; then it writes the rest
// and closes the file.
func (j *Journal) Run(ctx context.Context) error {
	t := time.NewTicker(flushEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			j.flush()
			return j.db.Close()
		case <-t.C:
		case <-j.kick:
		}
		j.flush()
	}
}

// flush writes what waits. What could not be written waits on, within bounds.
func (j *Journal) flush() {
	j.mu.Lock()
	facts, events := j.facts, j.events
	j.facts, j.events = map[string]json.RawMessage{}, nil
	j.mu.Unlock()
	if len(facts) == 0 && len(events) == 0 {
		return
	}
	err := contain(func() error { return j.write(facts, events) })
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

func (j *Journal) write(facts map[string]json.RawMessage, events []Event) error {
	return j.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(factsBucket)
		for k, v := range facts {
			if err := b.Put([]byte(k), v); err != nil {
				return err
			}
		}
		return appendEvents(tx.Bucket(eventsBucket), events)
	})
}

// appendEvents adds events under rising numbers and drops the oldest over the
// bound.
func appendEvents(b *bbolt.Bucket, events []Event) error {
	for _, e := range events {
		seq, err := b.NextSequence()
		if err != nil {
			return err
		}
		raw, err := json.Marshal(e)
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
func (j *Journal) Events(n int) ([]Event, error) {
	var out []Event
	err := contain(func() error {
		return j.db.View(func(tx *bbolt.Tx) error {
			c := tx.Bucket(eventsBucket).Cursor()
			for k, v := c.Last(); k != nil && len(out) < n; k, v = c.Prev() {
				var e Event
				if err := json.Unmarshal(v, &e); err != nil {
					return fmt.Errorf("journal: event %x: %w", k, err)
				}
				out = append(out, e)
			}
			return nil
		})
	})
	for i, k := 0, len(out)-1; i < k; i, k = i+1, k-1 {
		out[i], out[k] = out[k], out[i]
	}
	return out, err
}
