package engine

import (
	"cmp"
	"slices"
	"time"

	"lifeline/watchdog"
)

// truth is a fact that may be unknown.
type truth uint8

// unknown neither raises nor clears a condition.
const (
	unknown truth = iota
	isFalse
	isTrue
)

// known turns a known fact into a truth.
func known(b bool) truth {
	if b {
		return isTrue
	}
	return isFalse
}

// finding is what one rule says of one subject in one step.
type finding struct {
	name     watchdog.ConditionName
	subject  watchdog.Subject
	truth    truth
	severity watchdog.Severity
	evidence string // of a true one; empty leaves what was told last
}

// hysteresis is how long a condition must be true before it is raised, and false
// before it is cleared.
type hysteresis struct{ raise, clear time.Duration }

// hysteresisOf is chosen so that what can cut management off is told at once and
// what is noise when brief has to last.
var hysteresisOf = map[watchdog.ConditionName]hysteresis{
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

// conditionKey is a condition's identity.
type conditionKey struct {
	name    watchdog.ConditionName
	subject watchdog.Subject
}

// conditionState is what is remembered of a condition.
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
			if f.truth != isTrue {
				continue
			}
			st = &conditionState{Condition: watchdog.Condition{Name: f.name, Subject: f.subject}, falseFrom: s.Mono}
			c[k] = st
		}
		st.note(s, f)
		st.found = true
	}
	for k, st := range c {
		if !st.found {
			st.note(s, &finding{truth: isFalse})
		}
		st.found = false
		if ch, changed := st.transition(s.Mono); changed {
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
	return st == nil || !st.wasTrue || now-st.told >= evidenceEvery
}

// note takes one finding.
func (st *conditionState) note(s *watchdog.Snapshot, f *finding) {
	switch f.truth {
	case isTrue:
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
	case isFalse:
		if st.wasTrue {
			st.wasTrue, st.falseFrom = false, s.Mono
		}
	case unknown: // neither the one nor the other: what stands goes on standing
	}
}

// transition applies the hysteresis: it raises or clears the condition, or tells of
// another severity.
func (st *conditionState) transition(now time.Duration) (watchdog.Change, bool) {
	h := hysteresisOf[st.Name]
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
