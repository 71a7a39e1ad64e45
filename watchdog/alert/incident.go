package alert

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"slices"
	"time"

	"lifeline/watchdog"
)

// Incident is what is remembered of one incident: from the first condition to
// the recovery.
type Incident struct {
	ID         string            `json:"id"`
	Host       string            `json:"host"`
	Started    time.Time         `json:"started"`
	Ended      time.Time         `json:"ended,omitzero"`
	Severity   watchdog.Severity `json:"severity"` // the worst it had
	Summary    string            `json:"summary"`
	Cause      Cause             `json:"cause"`
	Conditions []ConditionState  `json:"conditions"`
	Timeline   []Line            `json:"timeline"`
	Omitted    int               `json:"omitted,omitempty"` // lines from the middle of Timeline that found no room
	Test       bool              `json:"test,omitempty"`
	Told       []Delivery        `json:"told,omitempty"` // what receivers took; filled by Explain
}

// Line is one thing that was seen or done during an incident.
type Line struct {
	At   time.Time `json:"at"`
	Text string    `json:"text"`
}

const (
	mostLines = 200 // of a timeline; a longer one loses its middle
	mostLine  = 300 // bytes
	keepFirst = 50  // lines that are never lost
	mostKept  = 256 // conditions of an incident, unless more stand
)

// incident is an open incident with what its further way depends on. It is
// kept on disk as JSON.
type incident struct {
	Incident
	Sequence  int               `json:"sequence"`  // of the last event
	Announced bool              `json:"announced"` // it has had its first event
	Current   watchdog.Severity `json:"current"`   // as last announced
	CauseRank int               `json:"cause_rank"`
	Muted     bool              `json:"muted"` // all that stands is silenced
	KnownTo   map[string]bool   `json:"known_to"`

	marks     []mark   // beside Conditions
	reasons   []Reason // since the last event
	lastEvent time.Duration
	sample    sampling
	dirty     bool
}

// mark is what the lifecycle knows of a condition beyond its state.
type mark struct {
	ended    time.Duration // when it was cleared; valid while Ended is set
	restored bool          // known from before a restart and not seen since
}

// sampling spaces the evidence in a timeline: after 10 s, then twice as long
// each time, so that a long incident leaves few lines.
type sampling struct{ started, next time.Duration }

const firstSample = 10 * time.Second

func (s *sampling) due(now time.Duration) bool {
	if now < s.next {
		return false
	}
	s.next = now + max(firstSample, now-s.started)
	return true
}

// incidentID makes the id of an incident that a condition opens: the time to
// the millisecond, so that ids sort by age, and a digest, for there may be more
// at once. It is one that none of the others has.
func incidentID(host string, k conditionKey, at moment, others ...[]*incident) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%s\x00%d", host, k.name, k.subject, at.wall.UnixNano()))
	for ; ; sum = sha256.Sum256(sum[:]) {
		id := fmt.Sprintf("%s%03d-%x", at.wall.UTC().Format("20060102-150405"), at.wall.Nanosecond()/1e6, sum[:2])
		same := func(i *incident) bool { return i.ID == id }
		if !slices.ContainsFunc(others, func(is []*incident) bool { return slices.ContainsFunc(is, same) }) {
			return id
		}
	}
}

// newIncident opens an incident.
func newIncident(id, host string, at moment) *incident {
	inc := &incident{
		Incident: Incident{
			ID:      id,
			Host:    host,
			Started: stamp(at.wall),
		},
		KnownTo:   map[string]bool{},
		lastEvent: at.mono,
		sample:    sampling{at.mono, at.mono + firstSample},
	}
	return inc
}

// find gives the index of a condition, or -1.
func (i *incident) find(k conditionKey) int {
	return slices.IndexFunc(i.Conditions, func(c ConditionState) bool { return c.Condition == k.name && c.Subject == k.subject })
}

// note adds a line to the timeline.
func (i *incident) note(at time.Time, format string, args ...any) {
	i.dirty = true
	i.Timeline = append(i.Timeline, Line{stamp(at), clip(fmt.Sprintf(format, args...), mostLine)})
	if len(i.Timeline) > mostLines {
		i.Timeline = slices.Delete(i.Timeline, keepFirst, keepFirst+1)
		i.Omitted++
	}
}

// because notes a reason for the next event.
func (i *incident) because(r Reason) {
	if !slices.Contains(i.reasons, r) {
		i.reasons = append(i.reasons, r)
	}
	i.dirty = true
}

// clear ends the condition with the index n, and notes it in the timeline as of
// a time.
func (i *incident) clear(n int, at moment, noted time.Time) {
	c := &i.Conditions[n]
	c.Ended, c.Status = stamp(at.wall), StatusResolved
	if c.Ended.Before(c.Since) {
		c.Ended = c.Since // the clock was set back
	}
	i.marks[n] = mark{ended: at.mono}
	i.note(noted, "%s %s was cleared after %s: %s", c.Condition, c.Subject, brief(c.Ended.Sub(c.Since)), c.Evidence)
	if !c.Flapping {
		i.because(ConditionCleared)
	}
}

// stands tells whether a condition counts as standing: a flapping one does
// until it has been gone for quiet.
func (i *incident) stands(n int, now, quiet time.Duration) bool {
	c := i.Conditions[n]
	return c.Ended.IsZero() || c.Flapping && now < i.marks[n].ended+quiet
}

// unsure tells whether a condition stands only because it did before a restart.
func (i *incident) unsure() bool {
	return slices.ContainsFunc(i.marks, func(m mark) bool { return m.restored })
}

// standing gives the conditions that count as standing.
func (i *incident) standing(now, quiet time.Duration) []ConditionState {
	var out []ConditionState
	for n, c := range i.Conditions {
		if i.stands(n, now, quiet) {
			out = append(out, c)
		}
	}
	return out
}

// forget drops the oldest conditions that are gone from an incident that has
// had very many.
func (i *incident) forget() {
	for n := 0; n < len(i.Conditions) && len(i.Conditions) > mostKept; {
		if i.Conditions[n].Ended.IsZero() || i.Conditions[n].Flapping {
			n++
			continue
		}
		i.Conditions = slices.Delete(i.Conditions, n, n+1)
		i.marks = slices.Delete(i.marks, n, n+1)
	}
}

// explain looks for a stronger cause. A cause is kept when its condition is
// gone: what began an incident explains its end too.
func (i *incident) explain(standing []ConditionState) (changed bool) {
	for _, c := range standing {
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
func (i *incident) event(kind Kind, at moment, standing []ConditionState) Event {
	i.Sequence++
	i.lastEvent = at.mono
	i.dirty = true
	shown, severity, lasted := standing, i.Current, at.wall.Sub(i.Started)
	if kind == Resolved {
		shown, severity, lasted = i.Conditions, i.Severity, i.Ended.Sub(i.Started)
	}
	i.Summary = summarise(i.Host, kind, shown, lasted)
	ev := Event{
		Version: PayloadVersion, ID: fmt.Sprintf("%s-%d", i.ID, i.Sequence), Kind: kind,
		At: stamp(at.wall), Host: i.Host, Severity: severity, Summary: i.Summary, Test: i.Test,
		Incident: &IncidentRef{ID: i.ID, Sequence: i.Sequence, Started: i.Started, Ended: i.Ended, Cause: i.Cause, Flapping: flapping(standing)},
		Reasons:  i.reasons, Conditions: slices.Clone(i.Conditions),
	}
	if kind == Resolved {
		ev.At = i.Ended
	}
	for n := range ev.Conditions {
		c := &ev.Conditions[n]
		if c.Status = StatusResolved; slices.ContainsFunc(standing, func(s ConditionState) bool { return sameCondition(s, *c) }) {
			c.Status = StatusFiring
			c.Ended = time.Time{}
		}
	}
	slices.SortStableFunc(ev.Conditions, func(a, b ConditionState) int { return cmp.Compare(a.Status, b.Status) }) // firing first
	if n := len(ev.Conditions) - mostConditions; n > 0 {
		ev.Conditions, ev.Omitted = ev.Conditions[:mostConditions], n
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
