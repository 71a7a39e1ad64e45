package undo

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/shaper"
	"lifeline/remediate/sysctl"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// Result is what became of one ledger entry. A nil Err is success, also where
// there was nothing left to undo.
type Result struct {
	Entry ledger.Entry
	Err   error
}

// Undoer undoes ledger entries.
type Undoer struct {
	// RemoveTC deletes a traffic-control object or link if it still is the one
	// of the entry, and finds nothing to delete no error; nil is RemoveShaper.
	RemoveTC func(ledger.Entry) error
	handles  *process.Handles // nil: of its own
}

const (
	undoRetry  = 20 * time.Millisecond  // between looks at a receiver that is full
	undoSettle = 100 * time.Millisecond // until a parent notices that its child runs again
)

var errNewerVersion = errors.New("a newer version of lifeline made it, and this one cannot undo it: run `lifeline release` of that version, or reboot")

// Undo takes back all changes of entries: processes run again first, then
// queues and settings go, last added first, then socket limits. One failure never stops
// the others. A receiver that is full is waited for until ctx ends, as a
// clamp changed then can wedge the connection on some kernels. The
// results are in the order of entries.
func (u Undoer) Undo(ctx context.Context, entries []ledger.Entry) []Result {
	if u.handles == nil {
		u.handles = &process.Handles{}
		defer u.handles.Close()
	}
	out := make([]Result, len(entries))
	for i, e := range entries {
		out[i].Entry = e
	}
	parents := u.continueProcesses(out)
	u.wake(parents)
	u.undoHost(out)
	u.undoSockets(ctx, bySocket(out))
	if len(parents) > 0 {
		time.Sleep(undoSettle)
		u.wake(parents)
	}
	return out
}

// continueProcesses lets the stopped processes among results run, and gives those above
// them. It marks what this version does not know.
func (u Undoer) continueProcesses(results []Result) (parents []watchdog.ProcID) {
	for i := range results {
		r := &results[i]
		switch targetOf(r.Entry) {
		case unknownTarget:
			r.Err = errNewerVersion
		case processTarget:
			r.Err = u.cont(r.Entry.Proc)
			parents = append(parents, r.Entry.Parents...)
		}
	}
	return parents
}

// undoHost takes away qdiscs and gives settings back, last added first.
func (u Undoer) undoHost(results []Result) {
	for i := range slices.Backward(results) {
		r := &results[i]
		switch targetOf(r.Entry) {
		case linkTarget:
			r.Err = u.removeTC(r.Entry)
		case settingTarget:
			r.Err = sysctl.Restore(r.Entry)
		}
	}
}

// target is what a change was made to.
type target uint8

const (
	unknownTarget target = iota // of a newer version
	processTarget
	socketTarget
	linkTarget
	settingTarget
)

func targetOf(e ledger.Entry) target {
	if e.Foreign != nil {
		return unknownTarget
	}
	switch e.Kind {
	case ledger.Pause:
		return processTarget
	case ledger.Window, ledger.Pacing, ledger.Priority, ledger.Buffer, ledger.Autotune:
		return socketTarget
	case ledger.Qdisc, ledger.Class, ledger.Filter, ledger.IFB:
		return linkTarget
	case ledger.Bursts:
		return settingTarget
	}
	return unknownTarget
}

func (u Undoer) cont(p watchdog.ProcID) error {
	if err := u.handles.Signal(p, unix.SIGCONT); err != nil && !errors.Is(err, process.ErrGone) {
		return err
	}
	return nil
}

// wake continues those that stopped because what they had started stopped.
func (u Undoer) wake(parents []watchdog.ProcID) {
	for _, p := range parents {
		if st, err := process.StatOf(p); err == nil && st.Stopped() {
			// A parent is no entry of its own, so an error has no place to go;
			// a person sees it stand there as "stopped".
			_ = u.cont(p)
		}
	}
}

func (u Undoer) removeTC(e ledger.Entry) error {
	if u.RemoveTC == nil {
		return shaper.Remove(e)
	}
	return u.RemoveTC(e)
}
