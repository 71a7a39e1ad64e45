package remediate

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// shaperHook is one of the two places of a link where a shaper can stand.
type shaperHook interface {
	// free is nil when a shaper may be put there now. It only looks.
	free(link int) error
	// entry describes what install makes, for the ledger.
	entry(link int) (ledger.Entry, error)
	// install builds the shaper, or nothing.
	install(link int, s shaping) (standingShaper, error)
	// remove takes away what is ours, whoever built it; bare is set when it
	// may have been left half-built.
	remove(link int, bare bool) error
}

// standingShaper is a shaper that was built.
type standingShaper interface {
	// check is nil while it stands and does no harm.
	check(now time.Time) error
	setRate(s shaping) error
	// hold makes members the transfers that pass through it, and gives each in
	// own a class of its own; what could not be done for these is told in them.
	hold(members []watchdog.Transfer, own []ownClass, now time.Time) []watchdog.Failure
	// release lets all transfers go, before the shaper is removed.
	release() []watchdog.Failure
}

// undoLedger is what the shaper needs of the ledger.
type undoLedger interface {
	Append(entries ...ledger.Entry) error
	Done(keys ...string) error
}

// stand is a shaper that is in place.
type stand struct {
	standingShaper
	rate  float64 // that is wanted for the link's transfers; 0 where it stands for single ones alone
	set   float64 // of the class that all share; 0 for no limit
	entry ledger.Entry
}

// setback is a shaper that could not be put up or taken down, and when to try
// again.
type setback struct {
	err    error
	target string
	until  time.Time
	wait   time.Duration
	entry  *ledger.Entry // of what is still there
}

const (
	firstWait = 5 * time.Second
	maxWait   = 5 * time.Minute
	lookWait  = 5 * time.Second // how long an answer of Can stays good
)

// LinkShaper is the Shaper by HTB: rsync's own class at the root of the link
// for what goes out, an ifb for what comes in. All other traffic passes without
// a limit. It is safe for concurrent use.
type LinkShaper struct {
	mu       sync.Mutex
	ledger   undoLedger
	hooks    [2]shaperHook // by Direction
	lacks    [2]error      // by Direction: what the kernel cannot do
	now      func() time.Time
	hz       float64 // of the packet scheduler's clock
	perHour  int     // times that one may be put up
	spent    map[watchdog.ShaperKey]*account
	stands   map[watchdog.ShaperKey]*stand
	inPlace  map[watchdog.ShaperKey]float64 // as Apply last told; others read it too, so it is never changed
	setbacks map[watchdog.ShaperKey]setback
	looks    map[watchdog.ShaperKey]setback
	again    func() []watchdog.Failure // tries what shapers that are gone left undone; may be nil
}

func newLinkShaper(l undoLedger, hooks [2]shaperHook, now func() time.Time, hz float64) *LinkShaper {
	return &LinkShaper{
		ledger: l, hooks: hooks, now: now, hz: hz, perHour: buildsPerHour,
		spent:    map[watchdog.ShaperKey]*account{},
		stands:   map[watchdog.ShaperKey]*stand{},
		setbacks: map[watchdog.ShaperKey]setback{},
		looks:    map[watchdog.ShaperKey]setback{},
	}
}

// Apply makes the shapers those of rates (bytes/s), with members as their
// transfers, and removes all others of ours. One stands also where a transfer is
// to be held at a rate of its own; that each of these has is told in own. What could
// not be done is tried again after a growing while; until then it is reported with
// every call.
func (s *LinkShaper) Apply(rates map[watchdog.ShaperKey]float64, members map[watchdog.ShaperKey][]watchdog.Transfer, own map[watchdog.ShaperKey][]OwnRate) (map[watchdog.ShaperKey]float64, []watchdog.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := withOwn(rates, own)
	var fails []watchdog.Failure
	if s.again != nil {
		fails = s.again()
	}
	for _, k := range sortedKeys(s.setbacks) {
		fails = append(fails, s.cleanUp(k)...)
	}
	for _, k := range sortedKeys(s.stands) {
		if _, wanted := wanted[k]; !wanted {
			fails = append(fails, s.takeDown(k)...)
		}
	}
	for _, k := range sortedKeys(wanted) {
		_, shared := rates[k]
		fails = append(fails, s.keep(k, wanted[k], shared, members[k], own[k])...)
	}
	return s.standing(), append(fails, s.overdrawn()...)
}

// standing gives the rates of what stands for all transfers of a link.
func (s *LinkShaper) standing() map[watchdog.ShaperKey]float64 {
	n, same := 0, true
	for k, st := range s.stands {
		if st.rate > 0 {
			n++
			same = same && s.inPlace[k] == st.rate
		}
	}
	if !same || n != len(s.inPlace) {
		s.inPlace = make(map[watchdog.ShaperKey]float64, n)
		for k, st := range s.stands {
			if st.rate > 0 {
				s.inPlace[k] = st.rate
			}
		}
	}
	return s.inPlace
}

func sortedKeys[V any](m map[watchdog.ShaperKey]V) []watchdog.ShaperKey {
	return slices.SortedFunc(maps.Keys(m), func(a, b watchdog.ShaperKey) int {
		return cmp.Or(cmp.Compare(a.Link, b.Link), cmp.Compare(a.Direction, b.Direction))
	})
}

// keep brings one shaper to its rate and members. One that is not shared stands for
// single transfers alone: what hinders it is told of each of these, and is no failure.
func (s *LinkShaper) keep(k watchdog.ShaperKey, rate float64, shared bool, members []watchdog.Transfer, own []OwnRate) []watchdog.Failure {
	fails, stands := s.raise(k, rate, shared)
	if !stands {
		b := s.setbacks[k]
		refuseOwn(own, cmp.Or(b.err, s.overdraws(k), errLinkGone))
		if !shared && b.entry == nil {
			return nil
		}
		return fails
	}
	st := s.stands[k]
	classes, left := divideOwn(rate, own, len(members) > 0)
	if rateChanged(st.set, left) {
		shape, err := s.shapeOf(left, shared)
		if err == nil {
			err = st.setRate(shape)
		}
		if err != nil {
			refuseOwn(own, err)
			return append(fails, st.failure(k, fmt.Errorf("change the rate: %w", err)))
		}
		st.set = left
	}
	if rateChanged(st.rate, rate) {
		st.rate = rate
	}
	s.shapeOwn(classes)
	fails = append(fails, st.hold(members, classes, s.now())...)
	tellOwn(own, classes)
	return fails
}

// raise puts a shaper up unless it may not, and says whether it stands.
func (s *LinkShaper) raise(k watchdog.ShaperKey, rate float64, shared bool) (fails []watchdog.Failure, stands bool) {
	fails = s.inspect(k)
	shape, err := s.shapeOf(rate, shared)
	if err != nil {
		return append(fails, s.refuse(k, err, nil)), false
	}
	if _, ok := s.stands[k]; ok {
		return fails, true
	}
	if s.overdraws(k) != nil {
		return fails, false // Apply tells
	}
	if b, ok := s.setbacks[k]; ok && s.now().Before(b.until) {
		if len(fails) == 0 && b.entry == nil { // else it was told already
			fails = append(fails, b.failure())
		}
		return fails, false
	}
	if rest, err := s.putUp(k, rate, shape); err != nil {
		return append(fails, s.refuse(k, err, rest)), false
	}
	return fails, true
}

// shapeOf is that of the class which all transfers of a link share.
func (s *LinkShaper) shapeOf(rate float64, shared bool) (shaping, error) {
	if !shared {
		return unlimited(), nil
	}
	return shapeFor(rate, s.hz)
}

// inspect notices what became of a shaper since the last call.
func (s *LinkShaper) inspect(k watchdog.ShaperKey) []watchdog.Failure {
	st, ok := s.stands[k]
	if !ok {
		return nil
	}
	err := st.check(s.now())
	if err == nil {
		return nil
	}
	fails := s.takeDown(k)
	if errors.Is(err, errLinkGone) {
		return fails
	}
	if b, ok := s.setbacks[k]; ok && b.entry != nil {
		return fails // it could not be taken down, which says more
	}
	return append(fails, s.refuse(k, err, nil))
}

// putUp writes the undo and then builds. With an error comes the entry of what
// could neither be finished nor removed.
func (s *LinkShaper) putUp(k watchdog.ShaperKey, rate float64, shape shaping) (*ledger.Entry, error) {
	hook := s.hooks[k.Direction]
	if err := s.lacks[k.Direction]; err != nil {
		return nil, err
	}
	if err := hook.free(k.Link); err != nil {
		return nil, err
	}
	e, err := hook.entry(k.Link)
	if err != nil {
		return nil, err
	}
	if err := s.ledger.Append(e); err != nil {
		return nil, fmt.Errorf("not built: %w", err)
	}
	s.spend(k, e)
	standing, err := hook.install(k.Link, shape)
	if err != nil {
		if rest := hook.remove(k.Link, true); rest != nil {
			return &e, errors.Join(err, rest)
		}
		return nil, errors.Join(err, s.ledger.Done(e.Key()))
	}
	e.Set = entryBuilt
	// Should this one fail, the first entry stands and undoes as well.
	_ = s.ledger.Append(e)
	s.stands[k] = &stand{standing, rate, rate, e}
	delete(s.setbacks, k)
	delete(s.looks, k)
	return nil, nil
}

// entryBuilt in Set of a qdisc's entry says that it bears its marks: from then
// on one without them is not ours.
const entryBuilt = 1

// takeDown releases the transfers and removes a shaper.
func (s *LinkShaper) takeDown(k watchdog.ShaperKey) []watchdog.Failure {
	st := s.stands[k]
	delete(s.stands, k)
	delete(s.looks, k)
	return append(st.release(), s.removeRest(k, st.entry)...)
}

func (s *LinkShaper) removeRest(k watchdog.ShaperKey, e ledger.Entry) []watchdog.Failure {
	if err := s.hooks[k.Direction].remove(k.Link, e.Set != entryBuilt); err != nil {
		return []watchdog.Failure{s.refuse(k, fmt.Errorf("remove: %w", err), &e)}
	}
	delete(s.setbacks, k)
	// A ledger that cannot be written costs a needless undo, and its owner
	// hears of it with the next entry.
	_ = s.ledger.Done(e.Key())
	return nil
}

// cleanUp tries again to remove what could not be removed.
func (s *LinkShaper) cleanUp(k watchdog.ShaperKey) []watchdog.Failure {
	b := s.setbacks[k]
	switch {
	case b.entry == nil:
		if s.now().After(b.until.Add(maxWait)) {
			delete(s.setbacks, k)
		}
		return nil
	case s.now().Before(b.until):
		return []watchdog.Failure{b.failure()}
	}
	return s.removeRest(k, *b.entry)
}

// refuse notes a setback and doubles the time to the next attempt.
func (s *LinkShaper) refuse(k watchdog.ShaperKey, err error, rest *ledger.Entry) watchdog.Failure {
	b := setback{err: err, target: fmt.Sprintf("link %d %s", k.Link, k.Direction), entry: rest}
	if e, err := s.hooks[k.Direction].entry(k.Link); err == nil {
		b.target = shaperTarget(e, k)
	}
	b.wait = min(max(2*s.setbacks[k].wait, firstWait), maxWait)
	b.until = s.now().Add(b.wait)
	s.setbacks[k] = b
	return b.failure()
}

func shaperTarget(e ledger.Entry, k watchdog.ShaperKey) string {
	return fmt.Sprintf("link %s %s", e.TC.Name, k.Direction)
}

func (b setback) failure() watchdog.Failure {
	return watchdog.Failure{Remedy: remedyShaper, Target: b.target, Err: b.err.Error()}
}

func (st *stand) failure(k watchdog.ShaperKey, err error) watchdog.Failure {
	return watchdog.Failure{Remedy: remedyShaper, Target: shaperTarget(st.entry, k), Err: err.Error()}
}

// Can says whether a shaper stands or may be put up there now, and if not, why.
// It looks at the kernel at most every five seconds and is cheap in between.
func (s *LinkShaper) Can(k watchdog.ShaperKey) (bool, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.stands[k]; ok {
		return true, ""
	}
	err := cmp.Or(s.lacks[k.Direction], s.overdraws(k))
	if b, ok := s.setbacks[k]; err == nil && ok && s.now().Before(b.until) {
		err = b.err
	}
	if err == nil {
		err = s.look(k)
	}
	if err != nil {
		return false, err.Error()
	}
	return true, ""
}

func (s *LinkShaper) look(k watchdog.ShaperKey) error {
	l, ok := s.looks[k]
	if !ok || !s.now().Before(l.until) {
		l = setback{err: s.hooks[k.Direction].free(k.Link), until: s.now().Add(lookWait)}
		s.looks[k] = l
	}
	return l.err
}

// Close removes all shapers of ours and releases their transfers.
func (s *LinkShaper) Close() []watchdog.Failure {
	_, fails := s.Apply(nil, nil, nil)
	return fails
}
