package incident

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"lifeline/watchdog"
)

// Copy is the incident apart from the lifecycle's own.
func (i *Open) Copy() Incident {
	c := i.Incident
	c.Conditions, c.Timeline = slices.Clone(c.Conditions), slices.Clone(c.Timeline)
	return c
}

// Open is an open incident with what its further way depends on. It is
// kept on disk as JSON.
type Open struct {
	Incident
	Sequence  int               `json:"sequence"`  // of the last event
	Announced bool              `json:"announced"` // it has had its first event
	Current   watchdog.Severity `json:"current"`   // as last announced
	CauseRank int               `json:"cause_rank"`
	Muted     bool              `json:"muted"` // all active conditions are silenced
	KnownTo   map[string]bool   `json:"known_to"`

	marks     []conditionMark // beside Conditions
	reasons   []Reason        // since the last event
	lastEvent time.Duration
	sampling  backoffSampling
	dirty     bool
}

// conditionMark is what the lifecycle knows of a condition beyond its state.
type conditionMark struct {
	ended    time.Duration // when it was cleared; valid while Ended is set
	restored bool          // known from before a restart and not seen since
}

// incidentID makes the id of an incident that a condition opens: the time to
// the millisecond, so that ids sort by age, and a digest, for there may be more
// at once. It is one that none of the others has.
func incidentID(host string, k conditionKey, at Moment, others ...[]*Open) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", host, k.name, k.subject, at.Wall.UnixNano()))
	for ; ; sum = sha256.Sum256(sum[:]) {
		id := fmt.Sprintf("%s%03d-%x", at.Wall.UTC().Format("20060102-150405"), at.Wall.Nanosecond()/1e6, sum[:2])
		same := func(i *Open) bool { return i.ID == id }
		if !slices.ContainsFunc(others, func(is []*Open) bool { return slices.ContainsFunc(is, same) }) {
			return id
		}
	}
}

// newIncident opens an incident.
func newIncident(id, host string, at Moment) *Open {
	inc := &Open{
		Incident: Incident{
			ID:      id,
			Host:    host,
			Started: Timestamp(at.Wall),
		},
		KnownTo:   map[string]bool{},
		lastEvent: at.Mono,
		sampling:  backoffSampling{at.Mono, at.Mono + firstSample},
	}
	return inc
}

// find gives the index of a condition, or -1.
func (i *Open) find(k conditionKey) int {
	return slices.IndexFunc(i.Conditions, func(c ConditionState) bool { return c.Condition == k.name && c.Subject == k.subject })
}

// note adds a line to the timeline.
func (i *Open) note(at time.Time, format string, args ...any) {
	i.dirty = true
	i.Timeline = append(i.Timeline, Line{Timestamp(at), Clip(fmt.Sprintf(format, args...), maxLine)})
	if len(i.Timeline) > maxTimeline {
		i.Timeline = slices.Delete(i.Timeline, keepFirst, keepFirst+1)
		i.Omitted++
	}
}

// addReason notes a reason for the next event.
func (i *Open) addReason(r Reason) {
	if !slices.Contains(i.reasons, r) {
		i.reasons = append(i.reasons, r)
	}
	i.dirty = true
}

// clear ends the condition with the index n, and notes it in the timeline as of
// a time.
func (i *Open) clear(n int, at Moment, noted time.Time) {
	c := &i.Conditions[n]
	c.Ended, c.Status = Timestamp(at.Wall), StatusResolved
	if c.Ended.Before(c.Since) {
		c.Ended = c.Since // the clock was set back
	}
	i.marks[n] = conditionMark{ended: at.Mono}
	i.note(noted, "%s %s was cleared after %s: %s", c.Condition, c.Subject, FormatDuration(c.Ended.Sub(c.Since)), c.Evidence)
	if !c.Flapping {
		i.addReason(ConditionCleared)
	}
}

// active tells whether a condition counts as active: a flapping one does until it
// has been gone for quiet.
func (i *Open) active(n int, now, quiet time.Duration) bool {
	c := i.Conditions[n]
	return c.Ended.IsZero() || c.Flapping && now < i.marks[n].ended+quiet
}

// unconfirmed tells whether a condition is active only because it was before a restart.
func (i *Open) unconfirmed() bool {
	return slices.ContainsFunc(i.marks, func(m conditionMark) bool { return m.restored })
}

// activeConditions gives the conditions that count as active.
func (i *Open) activeConditions(now, quiet time.Duration) []ConditionState {
	var out []ConditionState
	for n, c := range i.Conditions {
		if i.active(n, now, quiet) {
			out = append(out, c)
		}
	}
	return out
}

// dropOldConditions drops the oldest conditions that are gone from an incident that has
// had very many.
func (i *Open) dropOldConditions() {
	for n := 0; n < len(i.Conditions) && len(i.Conditions) > maxKept; {
		if i.Conditions[n].Ended.IsZero() || i.Conditions[n].Flapping {
			n++
			continue
		}
		i.Conditions = slices.Delete(i.Conditions, n, n+1)
		i.marks = slices.Delete(i.marks, n, n+1)
	}
}

// updateCause looks for a stronger cause. A cause is kept when its condition is
// gone: what began an incident explains its end too.
func (i *Open) updateCause(active []ConditionState) (changed bool) {
	for _, c := range active {
		r := rankOf(c.Condition)
		same := i.Cause.Condition == c.Condition && i.Cause.Subject == c.Subject
		if r > i.CauseRank || i.Cause.Condition == "" {
			i.CauseRank, changed = r, true
		} else if !same {
			continue
		}
		i.Cause = Cause{c.Condition, c.Subject, c.Evidence}
	}
	return changed
}

// event makes the next event of the incident.
func (i *Open) event(kind Kind, at Moment, active []ConditionState) Event {
	i.Sequence++
	i.lastEvent = at.Mono
	i.dirty = true
	shown, severity, lasted := active, i.Current, at.Wall.Sub(i.Started)
	if kind == Resolved {
		shown, severity, lasted = i.Conditions, i.Severity, i.Ended.Sub(i.Started)
	}
	i.Summary = summary(i.Host, kind, shown, lasted)
	ev := Event{
		Version: PayloadVersion, ID: fmt.Sprintf("%s-%d", i.ID, i.Sequence), Kind: kind,
		At: Timestamp(at.Wall), Host: i.Host, Severity: severity, Summary: i.Summary, Test: i.Test,
		Incident: &Ref{ID: i.ID, Sequence: i.Sequence, Started: i.Started, Ended: i.Ended, Cause: i.Cause, Flapping: flapping(active)},
		Reasons:  i.reasons, Conditions: slices.Clone(i.Conditions),
	}
	if kind == Resolved {
		ev.At = i.Ended
	}
	for n := range ev.Conditions {
		c := &ev.Conditions[n]
		if c.Status = StatusResolved; slices.ContainsFunc(active, func(s ConditionState) bool { return sameCondition(s, *c) }) {
			c.Status = StatusFiring
			c.Ended = time.Time{}
		}
	}
	slices.SortStableFunc(ev.Conditions, func(a, b ConditionState) int { return cmp.Compare(a.Status, b.Status) }) // firing first
	if n := len(ev.Conditions) - maxConditions; n > 0 {
		ev.Conditions, ev.Omitted = ev.Conditions[:maxConditions], n
	}
	i.reasons = nil
	return ev
}

func sameCondition(a, b ConditionState) bool {
	return a.Condition == b.Condition && a.Subject == b.Subject
}

func flapping(cs []ConditionState) bool {
	return slices.ContainsFunc(cs, func(c ConditionState) bool { return c.Flapping })
}
