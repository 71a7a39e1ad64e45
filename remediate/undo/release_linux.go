package undo

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"lifeline/remediate/process"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

const (
	guardTimeout = 3 * time.Second        // for its guard to have undone everything
	undoTimeout  = 5 * time.Second        // for receivers that are full, where nobody waits for the undo
	lockTimeout  = 500 * time.Millisecond // for a killed daemon to have let go of the lock
)

// Report is what a clean-up found and did.
type Report struct {
	Killed  watchdog.ProcID // the daemon that was ended first; zero for none
	Results []Result
	Damage  []string // lines of the ledger that could not be read
}

// Err joins what could not be undone.
func (r Report) Err() error {
	var errs []error
	for _, u := range r.Results {
		if u.Err != nil {
			errs = append(errs, fmt.Errorf("undo %v: %w", u.Entry, u.Err))
		}
	}
	return errors.Join(errs...)
}

// Release ends the daemon of a run directory, if it still runs, and undoes
// everything that its ledger lists. A second call finds nothing to do. The
// daemon is killed rather than asked: one that hangs must not wake up later and
// limit again.
func Release(ctx context.Context, dir string, u Undoer) (Report, error) {
	s, err := ledger.Read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return Report{}, nil
	}
	if err != nil {
		return Report{}, err
	}
	id, err := process.Self()
	if err != nil {
		return Report{}, err
	}
	before := s.LiveIn(id.Boot)
	var r Report
	if r.Killed, err = endDaemon(s, id); err != nil {
		return r, err
	}
	wait, cancel := context.WithTimeout(ctx, guardTimeout)
	defer cancel()
	lock, err := Acquire(wait, dir) // a guard holds it until it has undone everything
	if err != nil {
		// Whoever holds it does not let go: undo without writing.
		r.Damage, r.Results = s.Damage, u.here(s, id).Undo(ctx, before)
		return r, errors.Join(err, r.Err())
	}
	defer lock.Release()
	l, rest, err := Reconcile(ctx, dir, u)
	if err == nil {
		defer l.Close()
	}
	r.Damage, r.Results = rest.Damage, addUndoneByGuard(before, rest.Results)
	return r, errors.Join(err, r.Err())
}

// addUndoneByGuard adds to results the entries that were there before and are undone
// already, by a guard.
func addUndoneByGuard(before []ledger.Entry, results []Result) []Result {
	left := map[string]bool{}
	for _, r := range results {
		left[r.Entry.Key()] = true
	}
	for _, e := range before {
		if !left[e.Key()] {
			results = append(results, Result{Entry: e})
		}
	}
	return results
}

// TakeOver is how a daemon begins: it takes the lock of a run directory, for
// which it waits no longer than patience, and reconciles. Where the lock cannot
// be had although nobody holds it, what the ledger lists is undone all the same,
// and the error says why the daemon cannot go on. Lock and ledger may be there
// beside an error.
func TakeOver(ctx context.Context, dir string, patience time.Duration, u Undoer) (*Lock, *ledger.Ledger, Report, error) {
	wait, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	lock, err := Acquire(wait, dir)
	if err != nil {
		var r Report
		if !errors.Is(err, ErrLocked) {
			r = undoUnlocked(ctx, dir, u)
		}
		return nil, nil, r, err
	}
	l, r, err := Reconcile(ctx, dir, u)
	return lock, l, r, err
}

// undoUnlocked undoes without the lock and without a write. A daemon that lives
// is left alone, for it undoes by itself.
func undoUnlocked(ctx context.Context, dir string, u Undoer) (r Report) {
	s, err := ledger.Read(dir)
	if err != nil {
		return r // the lock's error says what is wrong with the directory
	}
	id, err := process.Self()
	if err != nil || s.Known && alive(s.Identity, id) {
		return r
	}
	ctx, cancel := context.WithTimeout(ctx, FullReceiverWait)
	defer cancel()
	r.Damage, r.Results = s.Damage, u.here(s, id).Undo(ctx, s.LiveIn(id.Boot))
	return r
}

// alive tells whether the daemon of a ledger may still run; what could not be
// seen may.
func alive(of, self ledger.Identity) bool {
	_, err := process.StatOf(of.Daemon)
	return of.Boot == self.Boot && !errors.Is(err, process.ErrGone)
}

// Reconcile undoes what an earlier daemon left in a run directory whose lock is
// held, and then opens its ledger: a full disk keeps nothing from being undone.
// Entries that could not be undone stay in the ledger; they are in the report and
// no reason not to go on. The report is whole also where the ledger cannot be
// written, which is the error.
func Reconcile(ctx context.Context, dir string, u Undoer) (*ledger.Ledger, Report, error) {
	id, err := process.Self()
	if err != nil {
		return nil, Report{}, err
	}
	var r Report
	old, err := ledger.Read(dir)
	if err == nil {
		r.Killed, err = endDaemon(old, id)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, r, err
	}
	wait, cancel := context.WithTimeout(ctx, FullReceiverWait)
	defer cancel()
	r.Damage, r.Results = old.Damage, u.here(old, id).Undo(wait, old.LiveIn(id.Boot))
	l, _, err := ledger.Open(dir, id, undoneKeys(r.Results)...)
	if err != nil {
		err = fmt.Errorf("what was undone cannot be struck out of the %w", err)
	}
	return l, r, err
}

// here keeps u from looking for the links of another network namespace in
// this one.
func (u Undoer) here(s ledger.State, id ledger.Identity) Undoer {
	if s.Known && s.Identity.Netns != id.Netns {
		u.RemoveTC = func(ledger.Entry) error {
			return fmt.Errorf("made in network namespace %d, this is %d: run it there", s.Identity.Netns, id.Netns)
		}
	}
	return u
}

// endDaemon kills the daemon that wrote s, if it is alive and not ourselves.
func endDaemon(s ledger.State, self ledger.Identity) (watchdog.ProcID, error) {
	d := s.Identity.Daemon
	if !s.Known || s.Identity.Boot != self.Boot || d == self.Daemon {
		return watchdog.ProcID{}, nil
	}
	var h process.Handles
	defer h.Close()
	err := h.Kill(d)
	if errors.Is(err, process.ErrGone) {
		return watchdog.ProcID{}, nil
	}
	if err != nil {
		return watchdog.ProcID{}, fmt.Errorf("end the daemon: %w", err)
	}
	return d, nil
}

// AfterDaemon ends the daemon and undoes what memory and file say.
func AfterDaemon(dir string, s ledger.State, u Undoer) (Report, error) {
	var r Report
	self, err := process.Self()
	if err != nil {
		return r, err
	}
	r.Killed, err = endDaemon(s, self) // an error is reported, and undoing begins all the same
	wait, cancel := context.WithTimeout(context.Background(), lockTimeout)
	defer cancel()
	lock, lockErr := Acquire(wait, dir)
	file, readErr := ledger.Read(dir)
	entries := union(s.Live(), file.Live())
	ctx, cancel := context.WithTimeout(context.Background(), undoTimeout)
	defer cancel()
	r.Results = u.here(s, self).Undo(ctx, entries)
	r.Damage = file.Damage
	err = errors.Join(err, readErr, lockErr)
	if lockErr != nil {
		return r, err // whoever holds it reconciles
	}
	defer lock.Release()
	l, _, openErr := ledger.Open(dir, self, undoneKeys(r.Results)...)
	if openErr != nil {
		return r, errors.Join(err, openErr)
	}
	defer l.Close()
	return r, errors.Join(err, strike(l, r.Results))
}

// union is all entries of a, and those of b that are not in a.
func union(a, b []ledger.Entry) []ledger.Entry {
	have := map[string]bool{}
	for _, e := range a {
		have[e.Key()] = true
	}
	for _, e := range b {
		if !have[e.Key()] {
			a = append(a, e)
		}
	}
	return a
}

// FullReceiverWait is how long undoing may wait for receivers that are full.
const FullReceiverWait = time.Second
