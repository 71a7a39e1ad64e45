package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"lifeline/watchdog/files"
)

// File is the name of the ledger in its directory.
const File = "ledger"

const (
	maxSize     = 64 << 20 // bytes; a larger file is not one of ours
	compactDead = 512      // records that may lie dead before the file is written anew
)

// Ledger is the writing end. It is safe for concurrent use.
type Ledger struct {
	mu    sync.Mutex
	dir   string
	f     *os.File
	size  int64 // of what is known to be whole
	state State
	stale bool // the file tells more than state: rewrite it before the next append
	tee   io.Writer
}

// Open makes the ledger of id in dir. Changes that an earlier daemon of the
// same boot left are kept and stay live, without those whose keys are undone;
// ask Live for them and undo them. Damage in the old file is returned beside a
// working ledger.
func Open(dir string, id Identity, undone ...string) (*Ledger, []string, error) {
	old, err := Read(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, nil, fmt.Errorf("run directory: %w", err)
	}
	l := &Ledger{dir: dir, state: State{Identity: id, Known: true}}
	old.done(undone)
	for _, e := range old.LiveIn(id.Boot) {
		l.state.do(e)
	}
	if err := l.rewrite(); err != nil {
		return nil, nil, err
	}
	return l, old.Damage, nil
}

// Read gives the state that the ledger in dir describes; an error that is
// fs.ErrNotExist means that there is none.
func Read(dir string) (State, error) {
	path := filepath.Join(dir, File)
	f, err := openRegular(path, os.O_RDONLY)
	if err != nil {
		return State{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return State{}, fmt.Errorf("ledger %s: %w", path, err)
	}
	if len(b) > maxSize {
		return State{}, fmt.Errorf("ledger %s: larger than %d bytes", path, maxSize)
	}
	return parse(b), nil
}

// openRegular opens a regular file and nothing else: a FIFO would block, a
// link could lead anywhere.
func openRegular(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	st, err := f.Stat()
	if err == nil {
		err = trust(path, st)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("ledger %s: %w", path, err)
	}
	return f, nil
}

// trust refuses what another user could have written: its entries are acted on
// with all privileges.
func trust(path string, st fs.FileInfo) error {
	if !st.Mode().IsRegular() {
		return fmt.Errorf("is a %s, not a regular file: remove it", modeName(st.Mode()))
	}
	return files.Trust(path, st)
}

func modeName(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "directory"
	case m&fs.ModeNamedPipe != 0:
		return "FIFO"
	case m&fs.ModeDevice != 0:
		return "device"
	}
	return "special file (" + m.String() + ")"
}

// Append records changes that are about to be made, in one write. When it
// fails, none of them may be made.
func (l *Ledger) Append(entries ...Entry) error {
	if len(entries) == 0 {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.fresh(); err != nil {
		return err
	}
	var b []byte
	var err error
	for _, e := range entries {
		if b, err = appendRecord(b, doRecord(e)); err != nil {
			return err
		}
	}
	if err := l.write(b); err != nil {
		return err
	}
	for _, e := range entries {
		l.state.do(e)
	}
	return nil
}

// Done records that changes were undone. After an error the file still lists
// them, which costs a needless undo and no harm; the next call repairs it.
func (l *Ledger) Done(keys ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	keys = slices.DeleteFunc(slices.Clone(keys), func(k string) bool { _, ok := l.state.live[k]; return !ok })
	if len(keys) == 0 {
		return nil
	}
	b, err := appendRecord(nil, record{Done: keys})
	if err != nil {
		return err
	}
	l.state.done(keys)
	if err := l.fresh(); err != nil {
		return err
	}
	if err := l.write(b); err != nil {
		l.stale = true
		return err
	}
	if l.state.dead > compactDead && l.state.dead > 2*len(l.state.live) {
		return l.rewrite()
	}
	return nil
}

// Has says whether a change with this key is live.
func (l *Ledger) Has(key string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.state.live[key]
	return ok
}

// Empty says that nothing is to be undone.
func (l *Ledger) Empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Len() == 0
}

// Live lists the changes that are not undone, oldest first.
func (l *Ledger) Live() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state.Live()
}

// Identity is whose ledger it is.
func (l *Ledger) Identity() Identity { return l.state.Identity }

// Tee sends the present state to w at once and every later record as it is
// written, so that a guard can hold the ledger in memory. A nil w, or a w that
// fails, ends it. The error is that of the first write; w must not block.
func (l *Ledger) Tee(w io.Writer) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tee = nil
	if w == nil {
		return nil
	}
	b, err := l.state.encode(nil)
	if err != nil {
		return err
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("copy the ledger: %w", err)
	}
	l.tee = w
	return nil
}

// Close closes the file, which stays.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tee = nil
	return l.f.Close()
}

// fresh rewrites a file that tells too much.
func (l *Ledger) fresh() error {
	if !l.stale {
		return nil
	}
	return l.rewrite()
}

// write appends b behind what is known to be whole. What a failed write left
// there is cut off, or written over by the next.
func (l *Ledger) write(b []byte) error {
	if _, err := l.f.WriteAt(b, l.size); err != nil {
		return errors.Join(fmt.Errorf("ledger %s: %w", l.path(), err), l.f.Truncate(l.size))
	}
	l.size += int64(len(b))
	l.copy(b)
	return nil
}

// copy feeds the tee; one that fails is dropped, its owner notices by itself.
func (l *Ledger) copy(b []byte) {
	if l.tee == nil {
		return
	}
	if _, err := l.tee.Write(b); err != nil {
		l.tee = nil
	}
}

// rewrite replaces the file by one that holds only what is live, atomically.
func (l *Ledger) rewrite() error {
	b, err := l.state.encode(nil)
	if err != nil {
		return err
	}
	f, err := l.replace(b)
	if errors.Is(err, syscall.ENOSPC) && l.state.Len() == 0 && os.Remove(l.path()) == nil {
		f, err = l.replace(b) // the old one tells of nothing any more, and gives its room
	}
	if err != nil {
		return err
	}
	if l.f != nil {
		l.f.Close() // its name is gone, and so is all it could tell
	}
	l.f, l.size, l.stale = f, int64(len(b)), false
	l.state.dead = 0
	l.state.prune()
	l.copy(b)
	return nil
}

// replace writes b beside the ledger and moves it over.
func (l *Ledger) replace(b []byte) (*os.File, error) {
	if _, err := os.Lstat(l.path()); err == nil {
		old, err := openRegular(l.path(), os.O_RDONLY)
		if err != nil {
			return nil, err
		}
		old.Close()
	}
	tmp := l.path() + ".new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("ledger %s: %w", tmp, err)
	}
	f, err := openRegular(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return nil, err
	}
	if _, err = f.Write(b); err == nil {
		err = os.Rename(tmp, l.path())
	}
	if err != nil {
		f.Close()
		return nil, errors.Join(fmt.Errorf("ledger %s: %w", tmp, err), os.Remove(tmp))
	}
	return f, nil
}

func (l *Ledger) path() string { return filepath.Join(l.dir, File) }
