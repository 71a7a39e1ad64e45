package shaper

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"lifeline/remediate/remedy"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// hook is one of the two places of a link where a shaper can stand.
type hook interface {
	// available is nil when a shaper may be put there now. It only looks.
	available(link int) error
	// entry describes what install makes, for the ledger.
	entry(link int) (ledger.Entry, error)
	// install builds the shaper, or nothing.
	install(link int, s tokenBucket) (installed, error)
	// remove takes away what is ours, whoever built it; bare is set when it
	// may have been left half-built.
	remove(link int, bare bool) error
}

// installed is a shaper that was built.
type installed interface {
	// check is nil while it stands and does no harm.
	check(now time.Time) error
	setRate(s tokenBucket) error
	// setMembers makes members the transfers that pass through it, and gives each in
	// classes a class of its own; what could not be done for these is told in them.
	setMembers(members []watchdog.Transfer, classes []wantedClass, now time.Time) []watchdog.Failure
	// releaseMembers lets all transfers go, before the shaper is removed.
	releaseMembers() []watchdog.Failure
}

// undoLedger is what the shaper needs of the ledger.
type undoLedger interface {
	Append(entries ...ledger.Entry) error
	Done(keys ...string) error
}

// standingShaper is a shaper that is in place.
type standingShaper struct {
	installed
	rate      float64 // that is wanted for the link's transfers; 0 where it stands for single ones alone
	classRate float64 // of the class that all share; 0 for no limit
	entry     ledger.Entry
}

// backoff is a shaper that could not be put up or taken down, and when to try
// again.
type backoff struct {
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

// HTB is the Shaper by HTB: rsync's own class at the root of the link
// for what goes out, an ifb for what comes in. All other traffic passes without
// a limit. It is safe for concurrent use.
type HTB struct {
	mu       sync.Mutex
	ledger   undoLedger
	hooks    [2]hook  // by Direction
	lacks    [2]error // by Direction: what the kernel cannot do
	now      func() time.Time
	hz       float64 // of the packet scheduler's clock
	perHour  int     // times that one may be put up
	builds   map[watchdog.ShaperKey]*buildCount
	standing map[watchdog.ShaperKey]*standingShaper
	inPlace  map[watchdog.ShaperKey]float64 // as Apply last told; others read it too, so it is never changed
	backoffs map[watchdog.ShaperKey]backoff
	lookedAt map[watchdog.ShaperKey]backoff
	retry    func() []watchdog.Failure // tries what shapers that are gone left undone; may be nil
}

func newHTB(l undoLedger, hooks [2]hook, now func() time.Time, hz float64) *HTB {
	return &HTB{
		ledger: l, hooks: hooks, now: now, hz: hz, perHour: DefaultPerHour,
		builds:   map[watchdog.ShaperKey]*buildCount{},
		standing: map[watchdog.ShaperKey]*standingShaper{},
		backoffs: map[watchdog.ShaperKey]backoff{},
		lookedAt: map[watchdog.ShaperKey]backoff{},
	}
}

// Apply makes the shapers those of rates (bytes/s), with members as their
// transfers, and removes all others of ours. One stands also where a transfer is
// to be held at a rate of its own; that each of these has is told in perTransfer. What could
// not be done is tried again after a growing while; until then it is reported with
// every call.
func (s *HTB) Apply(rates map[watchdog.ShaperKey]float64, members map[watchdog.ShaperKey][]watchdog.Transfer, perTransfer map[watchdog.ShaperKey][]TransferRate) (map[watchdog.ShaperKey]float64, []watchdog.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted := withTransferRates(rates, perTransfer)
	var fails []watchdog.Failure
	if s.retry != nil {
		fails = s.retry()
	}
	for _, k := range sortedKeys(s.backoffs) {
		fails = append(fails, s.retryRemoval(k)...)
	}
	for _, k := range sortedKeys(s.standing) {
		if _, wanted := wanted[k]; !wanted {
			fails = append(fails, s.takeDown(k)...)
		}
	}
	for _, k := range sortedKeys(wanted) {
		_, shared := rates[k]
		fails = append(fails, s.reconcile(k, wanted[k], shared, members[k], perTransfer[k])...)
	}
	return s.ratesInPlace(), append(fails, s.budgetFailures()...)
}

// ratesInPlace gives the rates of what stands for all transfers of a link.
func (s *HTB) ratesInPlace() map[watchdog.ShaperKey]float64 {
	n, same := 0, true
	for k, st := range s.standing {
		if st.rate > 0 {
			n++
			same = same && s.inPlace[k] == st.rate
		}
	}
	if !same || n != len(s.inPlace) {
		s.inPlace = make(map[watchdog.ShaperKey]float64, n)
		for k, st := range s.standing {
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

// reconcile brings one shaper to its rate and members. One that is not shared stands for
// single transfers alone: what hinders it is told of each of these, and is no failure.
func (s *HTB) reconcile(k watchdog.ShaperKey, rate float64, shared bool, members []watchdog.Transfer, perTransfer []TransferRate) []watchdog.Failure {
	fails, stands := s.ensure(k, rate, shared)
	if !stands {
		b := s.backoffs[k]
		refuseRates(perTransfer, cmp.Or(b.err, s.budgetError(k), errLinkGone))
		if !shared && b.entry == nil {
			return nil
		}
		return fails
	}
	st := s.standing[k]
	classes, left := divideRate(rate, perTransfer, len(members) > 0)
	if rateChanged(st.classRate, left) {
		shape, err := s.bucketOf(left, shared)
		if err == nil {
			err = st.setRate(shape)
		}
		if err != nil {
			refuseRates(perTransfer, err)
			return append(fails, st.failure(k, fmt.Errorf("change the rate: %w", err)))
		}
		st.classRate = left
	}
	if rateChanged(st.rate, rate) {
		st.rate = rate
	}
	s.setBuckets(classes)
	fails = append(fails, st.setMembers(members, classes, s.now())...)
	reportRates(perTransfer, classes)
	return fails
}

// ensure puts a shaper up unless it may not, and says whether it stands.
func (s *HTB) ensure(k watchdog.ShaperKey, rate float64, shared bool) (fails []watchdog.Failure, stands bool) {
	fails = s.checkHealth(k)
	shape, err := s.bucketOf(rate, shared)
	if err != nil {
		return append(fails, s.backOff(k, err, nil)), false
	}
	if _, ok := s.standing[k]; ok {
		return fails, true
	}
	if s.budgetError(k) != nil {
		return fails, false // Apply tells
	}
	if b, ok := s.backoffs[k]; ok && s.now().Before(b.until) {
		if len(fails) == 0 && b.entry == nil { // else it was told already
			fails = append(fails, b.failure())
		}
		return fails, false
	}
	if rest, err := s.build(k, rate, shape); err != nil {
		return append(fails, s.backOff(k, err, rest)), false
	}
	return fails, true
}

// bucketOf is that of the class which all transfers of a link share.
func (s *HTB) bucketOf(rate float64, shared bool) (tokenBucket, error) {
	if !shared {
		return unlimited(), nil
	}
	return bucketFor(rate, s.hz)
}

// checkHealth notices what became of a shaper since the last call.
func (s *HTB) checkHealth(k watchdog.ShaperKey) []watchdog.Failure {
	st, ok := s.standing[k]
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
	if b, ok := s.backoffs[k]; ok && b.entry != nil {
		return fails // it could not be taken down, which says more
	}
	return append(fails, s.backOff(k, err, nil))
}

// build writes the undo and then builds. With an error comes the entry of what
// could neither be finished nor removed.
func (s *HTB) build(k watchdog.ShaperKey, rate float64, shape tokenBucket) (*ledger.Entry, error) {
	hook := s.hooks[k.Direction]
	if err := s.lacks[k.Direction]; err != nil {
		return nil, err
	}
	if err := hook.available(k.Link); err != nil {
		return nil, err
	}
	e, err := hook.entry(k.Link)
	if err != nil {
		return nil, err
	}
	if err := s.ledger.Append(e); err != nil {
		return nil, fmt.Errorf("not built: %w", err)
	}
	s.countBuild(k, e)
	standing, err := hook.install(k.Link, shape)
	if err != nil {
		if rest := hook.remove(k.Link, true); rest != nil {
			return &e, errors.Join(err, rest)
		}
		return nil, errors.Join(err, s.ledger.Done(e.Key()))
	}
	e.Set = builtMark
	// Should this one fail, the first entry stands and undoes as well.
	_ = s.ledger.Append(e)
	s.standing[k] = &standingShaper{standing, rate, rate, e}
	delete(s.backoffs, k)
	delete(s.lookedAt, k)
	return nil, nil
}

// builtMark in Set of a qdisc's entry says that it bears its marks: from then
// on one without them is not ours.
const builtMark = 1

// takeDown releases the transfers and removes a shaper.
func (s *HTB) takeDown(k watchdog.ShaperKey) []watchdog.Failure {
	st := s.standing[k]
	delete(s.standing, k)
	delete(s.lookedAt, k)
	return append(st.releaseMembers(), s.removeBuilt(k, st.entry)...)
}

func (s *HTB) removeBuilt(k watchdog.ShaperKey, e ledger.Entry) []watchdog.Failure {
	if err := s.hooks[k.Direction].remove(k.Link, e.Set != builtMark); err != nil {
		return []watchdog.Failure{s.backOff(k, fmt.Errorf("remove: %w", err), &e)}
	}
	delete(s.backoffs, k)
	// A ledger that cannot be written costs a needless undo, and its owner
	// hears of it with the next entry.
	_ = s.ledger.Done(e.Key())
	return nil
}

// retryRemoval tries again to remove what could not be removed.
func (s *HTB) retryRemoval(k watchdog.ShaperKey) []watchdog.Failure {
	b := s.backoffs[k]
	switch {
	case b.entry == nil:
		if s.now().After(b.until.Add(maxWait)) {
			delete(s.backoffs, k)
		}
		return nil
	case s.now().Before(b.until):
		return []watchdog.Failure{b.failure()}
	}
	return s.removeBuilt(k, *b.entry)
}

// backOff notes a setback and doubles the time to the next attempt.
func (s *HTB) backOff(k watchdog.ShaperKey, err error, rest *ledger.Entry) watchdog.Failure {
	b := backoff{err: err, target: fmt.Sprintf("link %d %s", k.Link, k.Direction), entry: rest}
	if e, err := s.hooks[k.Direction].entry(k.Link); err == nil {
		b.target = targetName(e, k)
	}
	b.wait = min(max(2*s.backoffs[k].wait, firstWait), maxWait)
	b.until = s.now().Add(b.wait)
	s.backoffs[k] = b
	return b.failure()
}

func targetName(e ledger.Entry, k watchdog.ShaperKey) string {
	return fmt.Sprintf("link %s %s", e.TC.Name, k.Direction)
}

func (b backoff) failure() watchdog.Failure {
	return watchdog.Failure{Remedy: remedy.Shaper, Target: b.target, Err: b.err.Error()}
}

func (st *standingShaper) failure(k watchdog.ShaperKey, err error) watchdog.Failure {
	return watchdog.Failure{Remedy: remedy.Shaper, Target: targetName(st.entry, k), Err: err.Error()}
}

// Available is nil where a shaper stands or may be put up now, and else says why not.
// It looks at the kernel at most every five seconds and is cheap in between.
func (s *HTB) Available(k watchdog.ShaperKey) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.standing[k]; ok {
		return nil
	}
	if err := cmp.Or(s.lacks[k.Direction], s.budgetError(k)); err != nil {
		return err
	}
	if b, ok := s.backoffs[k]; ok && s.now().Before(b.until) {
		return b.err
	}
	return s.checkAvailable(k)
}

func (s *HTB) checkAvailable(k watchdog.ShaperKey) error {
	l, ok := s.lookedAt[k]
	if !ok || !s.now().Before(l.until) {
		l = backoff{err: s.hooks[k.Direction].available(k.Link), until: s.now().Add(lookWait)}
		s.lookedAt[k] = l
	}
	return l.err
}

// Close removes all shapers of ours and releases their transfers.
func (s *HTB) Close() []watchdog.Failure {
	_, fails := s.Apply(nil, nil, nil)
	return fails
}
