package sockopt

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"lifeline/remediate/process"
	"lifeline/watchdog"
)

const (
	searchEvery = time.Second // between two looks through all processes
	searchShare = 20          // of the time, one part in so many goes to them
)

// ErrSearching says that a socket is being looked for: what stands on it is not lifted yet.
var ErrSearching = errors.New("its holder is being looked for")

// HolderSearch looks for whoever holds sockets that their former holders have no more, apart
// from the control loop and without its priority: any user decides how much there is
// to look through. The zero value is ready; it is safe for concurrent use.
type HolderSearch struct {
	mu        sync.Mutex
	wanted    map[uint64]watchdog.Socket // by inode, for the next look
	found     map[uint64]Holders         // of the last one
	searching bool
	rest      time.Time // no look before
}

// Find says who holds a socket: ErrGone when it has ended, errSought when that is
// not known yet and is to be asked again.
func (k *HolderSearch) Find(s watchdog.Socket) ([]watchdog.FDRef, error) {
	own, err := process.NetnsInode()
	if here := s.Netns == 0 || err == nil && s.Netns == own; here && surelyEnded(s) {
		return nil, fmt.Errorf("socket %d: %w", s.Inode, process.ErrGone)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	f, known := k.found[s.Inode]
	if known && (f.Err == nil || errors.Is(f.Err, process.ErrGone)) {
		delete(k.found, s.Inode) // true when it was found; a holder may be another by now
		return f.Refs, f.Err
	}
	if k.wanted == nil {
		k.wanted = map[uint64]watchdog.Socket{}
	}
	k.wanted[s.Inode] = s
	if now := time.Now(); !k.searching && !now.Before(k.rest) {
		k.searching = true
		go k.search(k.wanted)
		k.wanted = nil
	}
	if known {
		return nil, f.Err
	}
	return nil, ErrSearching
}

// search is one look through all processes.
func (k *HolderSearch) search(wanted map[uint64]watchdog.Socket) {
	sockets := make([]watchdog.Socket, 0, len(wanted))
	for _, s := range wanted {
		sockets = append(sockets, s)
	}
	began := time.Now()
	var found map[uint64]Holders
	process.AtDefaultPriority(func() { found = FindHolders(sockets, func() bool { return false }) })
	ended := time.Now()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.found, k.searching = found, false
	k.rest = ended.Add(max(searchEvery, searchShare*ended.Sub(began)))
}
