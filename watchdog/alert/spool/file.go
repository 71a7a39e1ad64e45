package spool

import (
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"lifeline/watchdog/store"
)

// File is the spool's name in the state directory.
const File = "alerts.db"

// storeFormat is the layout of the file. Another one is put aside.
const storeFormat = "1"

const (
	// growStep is by how much the file grows; bbolt's own 16 MB are much for a
	// file that is nearly always empty.
	growStep = 256 << 10
	// reserve is kept as free pages inside the file, so that alerts can be
	// spooled while the disk is full.
	reserve = 512 << 10
)

// The buckets. queue and dead hold a bucket for each receiver.
var (
	bucketMeta     = []byte("meta")     // "format", "dropped/RECEIVER"
	bucketEvents   = []byte("events")   // sequence -> event
	bucketQueue    = []byte("queue")    // sequence -> kind, incident
	bucketDead     = []byte("dead")     // sequence -> DeadLetter
	bucketOpen     = []byte("open")     // incident id -> incident
	bucketHistory  = []byte("history")  // incident id -> Incident
	bucketTold     = []byte("told")     // incident id, event, receiver -> Delivery
	bucketSilences = []byte("silences") // id -> Silence
	bucketTables   = []byte("tables")   // receiver, fingerprint -> alert at Alertmanager
)

var buckets = [][]byte{bucketMeta, bucketEvents, bucketQueue, bucketDead, bucketOpen, bucketHistory, bucketTold, bucketSilences, bucketTables}

// errDamaged is damage in what the file says, though not in how it says it.
var errDamaged = store.ErrDamaged

// OpenFile opens or makes the file, with its buckets and its reserve.
func OpenFile(path string) (*store.DB, error) {
	db, err := store.Open(path, store.Options{AllocSize: growStep})
	if err != nil {
		return nil, fmt.Errorf("spool %w", err)
	}
	whole := false
	err = db.View(func(tx *bbolt.Tx) (err error) { whole, err = prepared(tx); return err })
	if err == nil && !whole {
		err = db.Update(prepare)
	}
	if err == nil {
		err = setReserve(db)
	}
	switch {
	case err == nil:
		return db, nil
	case !store.Damaged(err):
		err = errors.Join(err, db.Close())
	}
	return nil, fmt.Errorf("spool %s: %w", path, err)
}

// prepared tells whether the file has its buckets, and checks its format.
func prepared(tx *bbolt.Tx) (bool, error) {
	for _, name := range buckets {
		if tx.Bucket(name) == nil {
			return false, nil
		}
	}
	if f := tx.Bucket(bucketMeta).Get([]byte("format")); string(f) != storeFormat {
		return false, fmt.Errorf("%w: written by another version of Lifeline (format %q)", errDamaged, f)
	}
	return true, nil
}

// prepare makes the buckets.
func prepare(tx *bbolt.Tx) error {
	for _, name := range buckets {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return tx.Bucket(bucketMeta).Put([]byte("format"), []byte(storeFormat))
}

// setReserve sees to it that the file has free pages that are allocated on
// disk: written once, then freed. A disk without that room is no reason not to
// open.
func setReserve(db *store.DB) error {
	if s := db.Stats(); (s.FreePageN+s.PendingPageN)*db.Info().PageSize >= reserve {
		return nil
	}
	key := []byte("reserve")
	err := db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(key, make([]byte, reserve)) })
	if store.Damaged(err) {
		return err
	}
	if err != nil {
		return nil // a full disk: the pages that there are must do
	}
	return db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(key) })
}

// bytesInUse is how many bytes of the file hold something.
func bytesInUse(db *store.DB) (n int64) {
	err := db.View(func(tx *bbolt.Tx) error {
		s := db.Stats()
		n = tx.Size() - int64(s.FreePageN+s.PendingPageN)*int64(db.Info().PageSize)
		return nil
	})
	if err != nil {
		return 0
	}
	return max(n, 0)
}
