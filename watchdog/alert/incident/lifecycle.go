package incident

import (
	"slices"
	"time"

	"lifeline/watchdog"
)

// Worst gives the severity and summary of the worst active incident that is not silenced.
func (l *Lifecycle) Worst() (s watchdog.Severity, summary string) {
	for _, inc := range l.Incidents {
		if inc.Announced && !inc.Muted && (s == "" || Weight(inc.Current) > Weight(s)) {
			s, summary = inc.Current, inc.Summary
		}
	}
	return s, summary
}

// Moment is a point in time by both clocks: the wall clock is for people and
// receivers, the monotonic one for intervals.
type Moment struct {
	Wall time.Time
	Mono time.Duration
}

// conditionKey is a condition's identity.
type conditionKey struct {
	name    watchdog.ConditionName
	subject string
}

func keyOf(c watchdog.Condition) conditionKey {
	return conditionKey{watchdog.ConditionName(Clip(string(c.Name), MaxName)), Clip(c.Subject.String(), MaxName)}
}

// GraceAfterRestart is how long conditions known from before a restart may
// take to be found again: the longest hysteresis of a condition (5 s), and the
// probes' time to come up.
const GraceAfterRestart = 30 * time.Second

// confirmDelay is how soon the lifecycle looks again whether there was a cycle after
// the grace: one cycle of the control loop.
const confirmDelay = 100 * time.Millisecond

// maxOpen bounds the incidents that are open at once; further conditions
// become part of the youngest.
const maxOpen = 256

// Settings are the operator's choices for the lifecycle.
type Settings struct {
	Host       string
	Repeat     time.Duration
	FlapCount  int
	FlapWindow time.Duration
	FlapQuiet  time.Duration
	Grace      time.Duration // for what was active before a restart
	Routes     []Route
}

// Lifecycle makes events of conditions. It is pure: conditions, silences and
// time come in, events and changed incidents go out.
type Lifecycle struct {
	Settings
	Incidents  []*Open                          // oldest first
	raises     map[conditionKey][]time.Duration // within the flap window
	Silences   []Silence
	graceEnd   time.Duration // restored conditions count as active until then
	first      Moment        // of the first cycle
	reconciled time.Duration // when the active conditions were last compared
	Started    bool          // there was one
	pending    Output
}

func New(r Settings) *Lifecycle {
	return &Lifecycle{Settings: r, raises: map[conditionKey][]time.Duration{}}
}

// Restore takes up the incidents that were open before a restart. What they
// hold counts as active until it is seen again or the grace is over.
func (l *Lifecycle) Restore(open []*Open, silences []Silence) {
	for _, inc := range open {
		inc.marks = make([]conditionMark, len(inc.Conditions))
		for n := range inc.marks {
			inc.marks[n].restored = inc.Conditions[n].Ended.IsZero()
			inc.Conditions[n].Flapping = false
		}
		if inc.KnownTo == nil {
			inc.KnownTo = map[string]bool{}
		}
		l.Incidents = append(l.Incidents, inc)
	}
	slices.SortStableFunc(l.Incidents, func(a, b *Open) int { return a.Started.Compare(b.Started) })
	l.Silences = append(l.Silences, silences...)
}

// Apply takes the changes of one cycle of the control loop.
func (l *Lifecycle) Apply(at Moment, changes []watchdog.Change) {
	l.begin(at)
	for _, c := range changes {
		if c.Raised {
			l.raise(c.Condition, at)
		} else {
			l.clear(keyOf(c.Condition), at)
		}
	}
	l.update(at)
}

// begin starts the grace at the first cycle.
func (l *Lifecycle) begin(at Moment) {
	if l.Started {
		return
	}
	l.Started, l.first, l.graceEnd = true, at, at.Mono+l.Grace
	for _, inc := range l.Incidents {
		inc.note(at.Wall, "Lifeline runs again")
	}
}

// NoteStop notes the end of this run in the active incidents.
func (l *Lifecycle) NoteStop(at Moment) {
	for _, inc := range l.Incidents {
		inc.note(at.Wall, "Lifeline was stopped; what follows until it runs again was not seen")
	}
}

// Reconcile makes the incidents hold exactly the active conditions, whatever changes
// were missed.
func (l *Lifecycle) Reconcile(at Moment, active []watchdog.Condition) {
	l.begin(at)
	l.reconciled = at.Mono
	now := make(map[conditionKey]bool, len(active))
	for _, c := range active {
		now[keyOf(c)] = true
		l.raise(c, at)
	}
	for _, inc := range l.Incidents {
		for n, c := range inc.Conditions {
			k := conditionKey{c.Condition, c.Subject}
			if !c.Ended.IsZero() || now[k] || inc.marks[n].restored && at.Mono < l.graceEnd {
				continue
			}
			ended := at
			if inc.marks[n].restored {
				// It was gone when Lifeline first looked again; that this is known for
				// certain only now makes it no longer.
				inc.note(at.Wall, "%s %s was not found again after a restart of Lifeline; it was gone by %s", c.Condition, c.Subject, FormatTime(l.first.Wall))
				ended = l.first
			}
			inc.clear(n, ended, at.Wall)
		}
	}
	l.update(at)
}

// Advance does what time alone brings: reminders, the end of silences and of
// flapping.
func (l *Lifecycle) Advance(at Moment) {
	l.Silences = slices.DeleteFunc(l.Silences, func(s Silence) bool {
		over := !at.Wall.Before(s.Until)
		if over {
			l.pending.Expired = append(l.pending.Expired, s)
		}
		return over
	})
	for k, times := range l.raises {
		if times = since(times, at.Mono-l.FlapWindow); len(times) == 0 {
			delete(l.raises, k)
		} else {
			l.raises[k] = times
		}
	}
	l.update(at)
}

// Output gives what the steps since the last call asked for.
func (l *Lifecycle) Output() Output {
	for _, inc := range l.Incidents {
		if inc.dirty {
			l.pending.Changed = append(l.pending.Changed, inc)
			inc.dirty = false
		}
	}
	out := l.pending
	l.pending = Output{}
	return out
}

// raise takes an active condition; one that is known is brought up to date.
func (l *Lifecycle) raise(c watchdog.Condition, at Moment) {
	k := keyOf(c)
	inc, n := l.find(k)
	if inc == nil {
		inc = l.incidentFor(k, at)
		n = inc.find(k)
	}
	if n < 0 {
		inc.Conditions = append(inc.Conditions, ConditionState{Condition: k.name, Subject: k.subject})
		inc.marks = append(inc.marks, conditionMark{})
		n = len(inc.Conditions) - 1
		inc.Conditions[n].Ended = Timestamp(at.Wall) // until begun
	}
	st := &inc.Conditions[n]
	if !st.Ended.IsZero() {
		l.startCondition(inc, n, c, at)
	}
	inc.marks[n].restored = false
	if st.Severity != c.Severity {
		inc.note(at.Wall, "%s %s is now %s: %s", st.Condition, st.Subject, c.Severity, c.Evidence)
		inc.addReason(ConditionChanged)
		st.Severity = c.Severity
	}
	st.Evidence = Clip(c.Evidence, MaxText)
}

// startCondition marks the beginning of a condition, the first or a further one.
func (l *Lifecycle) startCondition(inc *Open, n int, c watchdog.Condition, at Moment) {
	st := &inc.Conditions[n]
	k := conditionKey{st.Condition, st.Subject}
	held := st.Flapping && inc.active(n, at.Mono, l.FlapQuiet) && st.Severity != ""
	start := Timestamp(c.Since)
	if start.Year() < 1970 || start.After(at.Wall) {
		start = Timestamp(at.Wall)
	}
	st.Since, st.Ended, st.Status = start, time.Time{}, StatusFiring
	if !held {
		st.Severity = c.Severity
	}
	if start.Before(inc.Started) && !inc.Announced {
		inc.Started = start
	}
	inc.note(at.Wall, "%s %s (%s) was raised: %s", c.Name, c.Subject, c.Severity, c.Evidence)
	if l.FlapCount > 0 {
		l.raises[k] = append(since(l.raises[k], at.Mono-l.FlapWindow), at.Mono)
		if len(l.raises[k]) >= l.FlapCount && !st.Flapping {
			st.Flapping = true
			inc.note(at.Wall, "%s %s is flapping: raised %d times in %s; the incident stays open until it has been gone for %s",
				c.Name, c.Subject, len(l.raises[k]), FormatDuration(l.FlapWindow), FormatDuration(l.FlapQuiet))
			inc.addReason(FlappingBegan)
		}
	}
	if !held {
		inc.addReason(ConditionJoined)
	}
}

// clear ends a condition in whichever incident it is.
func (l *Lifecycle) clear(k conditionKey, at Moment) {
	for _, inc := range l.Incidents {
		if n := inc.find(k); n >= 0 && inc.Conditions[n].Ended.IsZero() {
			inc.clear(n, at, at.Wall)
		}
	}
}

// find finds the open incident that holds a condition, active or not.
func (l *Lifecycle) find(k conditionKey) (*Open, int) {
	for _, inc := range l.Incidents {
		if n := inc.find(k); n >= 0 {
			return inc, n
		}
	}
	return nil, -1
}

// incidentFor finds the incident that a new condition belongs to, or opens
// one.
func (l *Lifecycle) incidentFor(k conditionKey, at Moment) *Open {
	s := scopeOf(k.name, k.subject)
	var best *Open
	fit := 0
	for _, inc := range l.Incidents {
		for n, c := range inc.Conditions {
			if !inc.active(n, at.Mono, l.FlapQuiet) {
				continue
			}
			if f := s.meets(scopeOf(c.Condition, c.Subject)); f > fit {
				best, fit = inc, f
			}
		}
	}
	if best == nil && len(l.Incidents) >= maxOpen {
		best = l.Incidents[len(l.Incidents)-1]
	}
	if best == nil {
		best = newIncident(incidentID(l.Host, k, at, l.Incidents, l.pending.Closed), l.Host, at)
		l.Incidents = append(l.Incidents, best)
	}
	return best
}

// NextDue is when elapse has something to do, on the monotonic clock; false when
// only a cycle can bring something.
func (l *Lifecycle) NextDue(at Moment) (time.Duration, bool) {
	var next time.Duration
	found := false
	consider := func(d time.Duration) {
		if !found || d < next {
			next, found = d, true
		}
	}
	for _, inc := range l.Incidents {
		if l.reconciled < l.graceEnd && inc.unconfirmed() {
			consider(max(l.graceEnd, at.Mono+confirmDelay)) // with the conditions that are active by then
		}
		if l.wantsReminder(inc, at.Mono) {
			consider(inc.lastEvent + l.Repeat)
		}
		for n, c := range inc.Conditions {
			if c.Flapping && !c.Ended.IsZero() {
				consider(inc.marks[n].ended + l.FlapQuiet)
			}
		}
	}
	for _, s := range l.Silences {
		consider(at.Mono + s.Until.Sub(at.Wall))
	}
	return next, found
}

// since drops the times before t.
func since(times []time.Duration, t time.Duration) []time.Duration {
	n, _ := slices.BinarySearch(times, t)
	return slices.Delete(times, 0, n)
}
