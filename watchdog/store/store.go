package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

var (
	// ErrDamaged is of a file whose content is no store, or an impossible one.
	ErrDamaged = errors.New("damaged")
	// ErrInUse is of a file that another process has open.
	ErrInUse = errors.New("in use by another process")
	// ErrLost is of a file that is not under its name any more.
	ErrLost = errors.New("was deleted or replaced under the running daemon")
)

const (
	lockWait  = time.Second
	lockRetry = 20 * time.Millisecond
)

// Options are what a store may be opened with.
type Options struct {
	ReadOnly  bool
	AllocSize int // bytes by which the file grows; 0 for bbolt's default
}

// DB is an open store. Its View and Update may be called from any goroutine.
type DB struct {
	*bbolt.DB
	path string
	opts Options
	file *os.File // closed by bbolt

	mu   sync.Mutex // held by an Update, and while somebody checks
	seen stamp      // how the file was after our last write
}

// Open opens or makes a store. An error is ErrDamaged where the content is to
// blame, ErrInUse, or that of the disk; it names the path.
func Open(path string, o Options) (d *DB, err error) {
	f, err := openTrusted(path, o.ReadOnly)
	if err != nil {
		return nil, err
	}
	d = &DB{path: path, opts: o, file: f}
	if err := d.begin(); err != nil {
		if !errors.Is(err, errPanic) {
			f.Close() // may be closed already
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return d, nil
}

func (d *DB) begin() error {
	if err := lock(d.file, d.opts.ReadOnly); err != nil {
		return err
	}
	st, err := d.file.Stat()
	if err != nil {
		return err
	}
	if err := verify(d.file, st.Size()); err != nil {
		return err
	}
	err = Contain(func() (err error) {
		d.DB, err = bbolt.Open(d.path, 0o600, &bbolt.Options{
			Timeout: lockWait, FreelistType: bbolt.FreelistMapType, ReadOnly: d.opts.ReadOnly,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return d.file, nil }, // it is open, locked and checked
		})
		return err
	})
	if err != nil {
		return err
	}
	if d.opts.AllocSize > 0 {
		d.AllocSize = d.opts.AllocSize
	}
	d.seen, err = stampOf(d.file)
	return err
}

// errPanic marks a panic within bbolt, which may hold its locks for ever: such a
// store is neither used again nor closed.
var errPanic = fmt.Errorf("%w: fault", ErrDamaged)

// Contain runs f and turns its panics into ErrDamaged; also the fault of
// reading a mapped page that cannot be read, which would end the process.
func Contain(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errPanic, r)
		}
	}()
	return f()
}

// Damaged tells whether an error comes of what is in the file, and not of the
// disk: a damaged free list makes bbolt write at impossible places.
func Damaged(err error) bool {
	for _, e := range []error{ErrDamaged, bolterrors.ErrInvalid, bolterrors.ErrChecksum, bolterrors.ErrVersionMismatch,
		bolterrors.ErrIncompatibleValue, syscall.EFBIG} {
		if errors.Is(err, e) {
			return true
		}
	}
	var at *fs.PathError
	var no syscall.Errno
	return errors.As(err, &at) && !errors.As(err, &no) && !errors.Is(err, fs.ErrClosed)
}

// View runs a reading transaction.
func (d *DB) View(f func(*bbolt.Tx) error) error {
	if d.mu.TryLock() { // else: whoever holds it has checked, or does
		err := d.check()
		d.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return Contain(func() error { return d.DB.View(f) })
}

// Update runs a writing transaction.
func (d *DB) Update(f func(*bbolt.Tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.check(); err != nil {
		return err
	}
	err := Contain(func() error { return d.DB.Update(f) })
	if s, statErr := stampOf(d.file); statErr == nil {
		d.seen = s
	}
	return err
}

// check looks at a file anew that somebody else has changed; d.mu is held.
func (d *DB) check() error {
	now, err := stampOf(d.file)
	if err != nil || now == d.seen {
		return err
	}
	if err := verify(d.file, now.size); err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	d.seen = now
	return nil
}

// Close closes the file.
func (d *DB) Close() error { return Contain(d.DB.Close) }

// PutAside moves a file out of the way, in place of an earlier one: one such
// file is enough to look at, and the disk is not ours to fill.
func PutAside(path string) (aside string, err error) {
	aside = path + ".broken"
	if err := os.Rename(path, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("put %s aside: %w", path, err)
	}
	return aside, nil
}

// Lost tells that the file is not under its name any more: ErrLost, or the error
// of looking.
func (d *DB) Lost() error {
	here, err := os.Lstat(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s %w", d.path, ErrLost)
	}
	if err != nil {
		return err
	}
	open, err := d.file.Stat()
	if err == nil && !os.SameFile(here, open) {
		err = fmt.Errorf("%s %w", d.path, ErrLost)
	}
	return err
}

// Restore puts what a lost store holds under its name again, for the next Open;
// this one is used no more after it. A file that has taken its place stays if it
// is a sound store, and is put aside if it is not.
func (d *DB) Restore() error {
	if err := os.MkdirAll(filepath.Dir(d.path), 0o700); err != nil {
		return err
	}
	other, err := os.OpenFile(d.path, os.O_RDONLY|openFlags, 0)
	if err == nil {
		defer other.Close()
		if err := lock(other, true); err != nil {
			return fmt.Errorf("%s: %w", d.path, err)
		}
		st, err := other.Stat()
		if err == nil && st.Mode().IsRegular() && st.Size() > 0 && verify(other, st.Size()) == nil {
			return nil
		}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		if _, err := PutAside(d.path); err != nil {
			return err
		}
	}
	return d.copyTo(d.path)
}

// copyTo writes a copy beside path and moves it there. Nothing is written to the
// store meanwhile.
func (d *DB) copyTo(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	tmp := path + ".new"
	if err := removeIfThere(tmp); err != nil {
		return err
	}
	err := d.copyFile(tmp)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s again: %w", path, err), removeIfThere(tmp))
	}
	return nil
}

func (d *DB) copyFile(path string) error {
	st, err := d.file.Stat()
	if err != nil {
		return err
	}
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|openFlags, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(d.file, 0, st.Size()))
	return errors.Join(err, to.Sync(), to.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
