package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"
)

func open(t *testing.T, path string) *DB {
	t.Helper()
	d, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d.NoSync, d.NoGrowSync = true, true
	t.Cleanup(func() { d.Close() })
	return d
}

// Whatever bbolt writes is sound: buckets in buckets, values larger than a page,
// deletions, lists of free pages of any length.
func TestWhatBboltWritesIsSound(t *testing.T) {
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 3))
		path := filepath.Join(t.TempDir(), "db")
		d := open(t, path)
		for step := range 60 {
			err := d.Update(func(tx *bbolt.Tx) error { return churn(r, tx) })
			if err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			st, err := d.file.Stat()
			if err == nil {
				err = verify(d.file, st.Size())
			}
			if err != nil {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
			if step%20 == 19 {
				if err := d.Close(); err != nil {
					t.Fatal(err)
				}
				d = open(t, path)
			}
		}
	}
}

// churn changes some buckets at random.
func churn(r *rand.Rand, tx *bbolt.Tx) error {
	b, err := tx.CreateBucketIfNotExists(fmt.Append(nil, "bucket ", r.IntN(5)))
	for err == nil && r.IntN(3) == 0 {
		b, err = b.CreateBucketIfNotExists(fmt.Append(nil, "within ", r.IntN(4)))
	}
	for range r.IntN(300) {
		if err != nil {
			return err
		}
		key := binary.BigEndian.AppendUint64(nil, uint64(r.IntN(3000)))
		size := []int{0, 10, 200, 3000, 9000}[min(r.IntN(40), 4)/(1+r.IntN(4))]
		if r.IntN(5) == 0 {
			err = b.Delete(key)
		} else {
			err = b.Put(key, make([]byte, size))
		}
	}
	if err == nil && r.IntN(40) == 0 {
		name := fmt.Append(nil, "bucket ", r.IntN(5))
		if tx.Bucket(name) != nil {
			err = tx.DeleteBucket(name)
		}
	}
	return err
}

// What another user could have written is not believed, and the error says the
// mend.
func TestOthersFilesAreRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives files to another user")
	}
	for what, c := range map[string]struct {
		spoil func(dir, path string) error
		want  string
	}{
		"file of another user":      {func(_, path string) error { return os.Chown(path, 65534, 65534) }, "belongs to another user (65534)"},
		"file that others write":    {func(_, path string) error { return os.Chmod(path, 0o666) }, "chmod go-w"},
		"directory of another user": {func(dir, _ string) error { return os.Chown(dir, 65534, 65534) }, "belongs to another user (65534)"},
		"directory for all":         {func(dir, _ string) error { return os.Chmod(dir, 0o777) }, "chmod go-w"},
	} {
		dir := filepath.Join(t.TempDir(), "state")
		path := filepath.Join(dir, "db")
		if err := open(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		if err := c.spoil(dir, path); err != nil {
			t.Fatal(err)
		}
		_, err := Open(path, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) || Damaged(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A file that somebody else writes to is looked at anew before it is used: what
// is sound is used on, a loop among its pages is not walked.
func TestChangedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	d := open(t, path)
	name := []byte("b")
	err := d.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(name)
		for i := range uint64(2000) {
			err = errors.Join(err, b.Put(binary.BigEndian.AppendUint64(nil, i), make([]byte, 100)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int, err error) {
		err = d.View(func(tx *bbolt.Tx) error {
			n = tx.Bucket(name).Stats().KeyN
			return nil
		})
		return n, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := count(); n != 2000 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	loop(t, path)
	if _, err := count(); !Damaged(err) {
		t.Errorf("a loop among the pages: %v", err)
	}
	if err := d.Update(func(*bbolt.Tx) error { return nil }); !Damaged(err) {
		t.Errorf("a loop among the pages, to be written: %v", err)
	}
}

// loop makes the first branch page of a file its own child.
func loop(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, pageHead+elementSize)
	for at := int64(0); ; at += int64(os.Getpagesize()) {
		if _, err := f.ReadAt(head, at); err != nil {
			t.Fatalf("no branch page: %v", err)
		}
		if order.Uint16(head[8:]) == branchPage {
			if _, err := f.WriteAt(head[:8], at+pageHead+8); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
}

func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	open(t, path)
	if _, err := Open(path, Options{}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
}
