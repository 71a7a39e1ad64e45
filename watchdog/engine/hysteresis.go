package engine

import (
	"cmp"
	"slices"
	"time"

	"lifeline/watchdog"
)

// Truth is a fact that may be unknown.
type Truth uint8

// Unknown neither raises nor clears a condition.
const (
	Unknown Truth = iota
	False
	True
)

// truth turns a known fact into a Truth.
func truth(b bool) Truth {
	if b {
		return True
	}
	return False
}

// finding is what one rule says of one subject in one step.
type finding struct {
	name     watchdog.ConditionName
	subject  watchdog.Subject
	truth    Truth
	severity watchdog.Severity
	evidence string // of True; empty leaves what was told last
}

// hold is the hysteresis of one condition: how long it must be true before it
// is raised, and false before it is cleared.
type hold struct{ raise, clear time.Duration }

// holds are chosen so that what can cut management off is told at once and
// what is noise when brief has to last.
var holds = map[watchdog.ConditionName]hold{
	watchdog.LinkSaturated:         {500 * time.Millisecond, 10 * time.Second},
	watchdog.ManagementUnreachable: {3 * time.Second, 5 * time.Second},
	watchdog.ManagementPeerSilent:  {10 * time.Second, 10 * time.Second}, // a laptop that changes its Wi-Fi is back by then
	watchdog.TargetContradicted:    {0, 0},                               // the probe has its own time for that
	watchdog.LinkErrors:            {0, 60 * time.Second},                // the rule looks at a minute already
	watchdog.LinkDown:              {0, 5 * time.Second},
	watchdog.ProbeBlind:            {3 * time.Second, 3 * time.Second},
	watchdog.Unprotected:           {5 * time.Second, 5 * time.Second},
	watchdog.NotOurQueue:           {0, 30 * time.Second},
	watchdog.RemedyFailed:          {time.Second, 30 * time.Second},
	watchdog.RebootUnsafe:          {0, 0}, // one answer stands until the next
	watchdog.RebootUnknown:         {0, 0},
}

type conditionKey struct {
	name    watchdog.ConditionName
	subject watchdog.Subject
}

type conditionState struct {
	watchdog.Condition
	raised    bool
	trueFrom  time.Duration // monotonic; valid while wasTrue
	falseFrom time.Duration // monotonic; valid while !wasTrue
	wasTrue   bool
	severity  watchdog.Severity // as it was last told; valid while raised
	told      time.Duration     // monotonic: when its evidence was written
	found     bool              // in this step
}

// conditions keeps the hysteresis of every condition that was ever found.
type conditions map[conditionKey]*conditionState

// step takes the findings of one Snapshot. A condition without a finding is
// false: its subject is gone.
func (c conditions) step(s *watchdog.Snapshot, found []finding) (standing []watchdog.Condition, changes []watchdog.Change) {
	for i := range found {
		f := &found[i]
		k := conditionKey{f.name, f.subject}
		st := c[k]
		if st == nil {
			if f.truth != True {
				continue
			}
			st = &conditionState{Condition: watchdog.Condition{Name: f.name, Subject: f.subject}, falseFrom: s.Mono}
			c[k] = st
		}
		st.take(s, f)
		st.found = true
	}
	for k, st := range c {
		if !st.found {
			st.take(s, &finding{truth: False})
		}
		st.found = false
		if ch, changed := st.settle(s.Mono); changed {
			changes = append(changes, ch)
		}
		if st.raised {
			standing = append(standing, st.Condition)
		} else if !st.wasTrue {
			delete(c, k)
		}
	}
	slices.SortFunc(standing, compareConditions)
	slices.SortFunc(changes, func(a, b watchdog.Change) int { return compareConditions(a.Condition, b.Condition) })
	return standing, changes
}

func compareConditions(a, b watchdog.Condition) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Subject.String(), b.Subject.String()))
}

// evidenceEvery is how often the evidence of a condition that stands is written
// anew, where that takes time.
const evidenceEvery = time.Second

// wants says whether the evidence of a condition is to be written, if it is true.
func (c conditions) wants(name watchdog.ConditionName, subject watchdog.Subject, now time.Duration) bool {
	st := c[conditionKey{name, subject}]
	return st == nil || !st.wasTrue || now-st.told >= evidenceEvery || now < st.told
}

// take notes one finding.
func (st *conditionState) take(s *watchdog.Snapshot, f *finding) {
	switch f.truth {
	case True:
		if !st.wasTrue {
			st.wasTrue, st.trueFrom = true, s.Mono
			if !st.raised {
				st.Since = s.Wall
			}
		}
		st.Severity = f.severity
		if f.evidence != "" {
			st.Evidence, st.told = f.evidence, s.Mono
		}
	case False:
		if st.wasTrue {
			st.wasTrue, st.falseFrom = false, s.Mono
		}
	case Unknown: // neither the one nor the other: what stands goes on standing
	}
}

// settle applies the hysteresis.
func (st *conditionState) settle(now time.Duration) (watchdog.Change, bool) {
	h := holds[st.Name]
	switch {
	case !st.raised && st.wasTrue && now-st.trueFrom >= h.raise:
		st.raised, st.severity = true, st.Severity
		return watchdog.Change{Condition: st.Condition, Raised: true}, true
	case st.raised && !st.wasTrue && now-st.falseFrom >= h.clear:
		st.raised = false
		return watchdog.Change{Condition: st.Condition}, true
	case st.raised && st.Severity != st.severity:
		was := st.severity
		st.severity = st.Severity
		return watchdog.Change{Condition: st.Condition, Raised: true, Was: was}, true
	}
	return watchdog.Change{}, false
}
