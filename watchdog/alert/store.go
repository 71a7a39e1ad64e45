package alert

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// File is the spool's name in the state directory.
const File = "alerts.db"

// storeFormat is the layout of the file. Another one is put aside.
const storeFormat = "1"

const (
	lockWait = time.Second
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

// errDamaged is damage in the file: what bbolt panics about, or the fault of a
// page that the disk does not give.
var errDamaged = errors.New("damaged")

// contain runs f and turns its panics into errDamaged; also the fault of
// reading a mapped page that cannot be read, which would end the process.
func contain(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDamaged, r)
		}
	}()
	return f()
}

// damaged tells whether an error comes of what is in the file, and not of the
// disk: a damaged free list makes bbolt write at impossible places.
func damaged(err error) bool {
	for _, e := range []error{errDamaged, bolterrors.ErrInvalid, bolterrors.ErrChecksum, bolterrors.ErrVersionMismatch,
		bolterrors.ErrIncompatibleValue, syscall.EFBIG} {
		if errors.Is(err, e) {
			return true
		}
	}
	var at *fs.PathError
	var no syscall.Errno
	return errors.As(err, &at) && !errors.As(err, &no)
}

// openStore opens or makes the file, with its buckets and its reserve.
func openStore(path string) (db *bbolt.DB, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if st, err := os.Lstat(path); err == nil && !st.Mode().IsRegular() {
		return nil, fmt.Errorf("spool %s: not a regular file (%s): move it away", path, st.Mode().Type())
	}
	err = contain(func() error {
		if db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, FreelistType: bbolt.FreelistMapType}); err != nil {
			return err
		}
		db.AllocSize = growStep
		whole := false
		err := db.View(func(tx *bbolt.Tx) (err error) { whole, err = prepared(tx); return err })
		if err == nil && !whole {
			err = db.Update(prepare)
		}
		if err == nil {
			err = setReserve(db)
		}
		return err
	})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		err = errors.New("in use by another process")
	case db != nil && !damaged(err):
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
func setReserve(db *bbolt.DB) error {
	if s := db.Stats(); (s.FreePageN+s.PendingPageN)*db.Info().PageSize >= reserve {
		return nil
	}
	key := []byte("reserve")
	err := db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put(key, make([]byte, reserve)) })
	if err != nil {
		return nil // a full disk: the pages that there are must do
	}
	return db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Delete(key) })
}

// putAside moves a damaged file out of the way, in place of an earlier one:
// one such file is enough to look at, and the disk is not ours to fill.
func putAside(path string) (string, error) {
	aside := path + ".broken"
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("spool %s: put aside: %w", path, err)
	}
	return aside, nil
}

// inUse is how many bytes of the file hold something.
func inUse(db *bbolt.DB) (n int64) {
	err := contain(func() error {
		return db.View(func(tx *bbolt.Tx) error {
			s := db.Stats()
			n = tx.Size() - int64(s.FreePageN+s.PendingPageN)*int64(db.Info().PageSize)
			return nil
		})
	})
	if err != nil {
		return 0
	}
	return max(n, 0)
}
