package facts

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"

	"lifeline/watchdog/store"
)

// File is the name of the store's file in the state directory.
const File = "journal.db"

const maxValue = 1 << 20 // bytes of a fact

var (
	factsBucket = []byte("facts")
	// eventsBucket is where earlier versions kept events that nobody read.
	eventsBucket = []byte("events")
)

// Health is how the store does.
type Health struct {
	Err string `json:"error,omitempty"` // of the last write; empty when it went well
	// Dropped is always 0: no fact is dropped. Earlier versions counted events.
	Dropped uint64 `json:"dropped"`
	// Back is when it was opened, where that was not possible at the start.
	Back time.Time `json:"back,omitzero"`
	// Recovery says what became of a file that was damaged or deleted under the
	// running daemon; empty where none was.
	Recovery string `json:"mended,omitempty"`
}

// Store is an open store of facts.
type Store struct {
	db     atomic.Pointer[store.DB] // nil once it was damaged too often
	path   string
	resets int // by the task alone
	late   *late

	mu      sync.Mutex
	waiting map[string]json.RawMessage // facts that are not written yet
	health  Health
	aside   string // where a broken file was put, for the log
	said    func(string)
}

// Open opens or makes the store in dir. A file that is none, or a broken one, is put
// aside under another name and a new one begun: what it held can be learnt again.
func Open(dir string) (*Store, error) {
	s := newStore(dir)
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

func newStore(dir string) *Store {
	return &Store{path: filepath.Join(dir, File), waiting: map[string]json.RawMessage{}}
}

func (s *Store) open() error {
	db, err := openDB(s.path)
	if store.Damaged(err) {
		db, err = s.reset()
	}
	if err != nil {
		return fmt.Errorf("journal %w", err)
	}
	s.db.Store(db)
	return nil
}

// reset puts the damaged file aside, in place of an earlier one, and begins a new
// one. The old one is neither closed nor unlocked: a store that panicked may
// hold its own locks for ever.
func (s *Store) reset() (*store.DB, error) {
	aside, err := store.PutAside(s.path)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	s.aside = aside
	s.mu.Unlock()
	return openDB(s.path)
}

// openDB opens the file and makes its bucket. It gives back the room of the events
// that earlier versions kept.
func openDB(path string) (*store.DB, error) {
	db, err := store.Open(path, store.Options{})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(eventsBucket) != nil {
			if err := tx.DeleteBucket(eventsBucket); err != nil {
				return err
			}
		}
		_, err := tx.CreateBucketIfNotExists(factsBucket)
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case !store.Damaged(err):
		err = errors.Join(err, db.Close())
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

// PutAside is where a broken file went when this one was begun; empty when there was
// none.
func (s *Store) PutAside() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aside
}

// Get reads the fact of that name into v and tells whether there was one.
func (s *Store) Get(name string, v any) (bool, error) {
	var raw []byte
	err := s.view(func(tx *bbolt.Tx) error {
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

func (s *Store) view(f func(*bbolt.Tx) error) error {
	db := s.db.Load()
	if db == nil {
		return s.absent()
	}
	err := db.View(f)
	if store.Damaged(err) {
		s.db.CompareAndSwap(db, nil) // its locks may be held for ever: the task begins anew
	}
	return err
}

// Put remembers a fact; the latest of a name wins. It does not wait.
func (s *Store) Put(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("journal: fact %q: %w", name, err)
	}
	if len(raw) > maxValue {
		return fmt.Errorf("journal: fact %q: %d bytes are too many", name, len(raw))
	}
	s.mu.Lock()
	s.waiting[name] = raw
	s.mu.Unlock()
	return nil
}

// Health tells how the store does.
func (s *Store) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health
}
