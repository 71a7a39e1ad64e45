package alert

import (
	"slices"
	"time"

	"lifeline/watchdog"
)

// moment is a point in time by both clocks: the wall clock is for people and
// receivers, the monotonic one for intervals.
type moment struct {
	wall time.Time
	mono time.Duration
}

// conditionKey is a condition's identity.
type conditionKey struct {
	name    watchdog.ConditionName
	subject string
}

func keyOf(c watchdog.Condition) conditionKey {
	return conditionKey{watchdog.ConditionName(clip(string(c.Name), mostName)), clip(c.Subject.String(), mostName)}
}

// graceAfterRestart is how long conditions known from before a restart may
// take to be found again: the longest hysteresis of a condition (5 s), and the
// probes' time to come up.
const graceAfterRestart = 30 * time.Second

// lookAgain is how soon the lifecycle looks again whether there was a turn after
// the grace: one turn of the control loop.
const lookAgain = 100 * time.Millisecond

// mostOpen bounds the incidents that are open at once; further conditions
// become part of the youngest.
const mostOpen = 256

// rules are the operator's choices for the lifecycle.
type rules struct {
	host       string
	repeat     time.Duration
	flapCount  int
	flapWindow time.Duration
	flapQuiet  time.Duration
	grace      time.Duration // for what stood before a restart
	routes     []route
}

// lifecycle makes events of conditions. It is pure: conditions, silences and
// time come in, events and changed incidents go out.
type lifecycle struct {
	rules
	open     []*incident                      // oldest first
	raises   map[conditionKey][]time.Duration // within the flap window
	silences []Silence
	until    time.Duration // restored conditions stand until then
	first    moment        // of the first turn
	looked   time.Duration // when what stands was last compared
	seen     bool          // there was one
	out      output
}

// output is what a step of the lifecycle asks for.
type output struct {
	events  []outgoing
	changed []*incident // still open, to be kept
	closed  []*incident
	expired []Silence
}

// outgoing is an event and whom it is for.
type outgoing struct {
	event Event
	to    []target
}

// target is a receiver and the kind under which it is to be told: an update of
// an incident that it does not know is a firing one to it.
type target struct {
	receiver string
	kind     Kind
}

func newLifecycle(r rules) *lifecycle {
	return &lifecycle{rules: r, raises: map[conditionKey][]time.Duration{}}
}

// restore takes up the incidents that were open before a restart. What they
// hold stands until it is seen again or the grace is over.
func (l *lifecycle) restore(open []*incident, silences []Silence) {
	for _, inc := range open {
		inc.marks = make([]mark, len(inc.Conditions))
		for n := range inc.marks {
			inc.marks[n].restored = inc.Conditions[n].Ended.IsZero()
			inc.Conditions[n].Flapping = false
		}
		if inc.KnownTo == nil {
			inc.KnownTo = map[string]bool{}
		}
		l.open = append(l.open, inc)
	}
	slices.SortStableFunc(l.open, func(a, b *incident) int { return a.Started.Compare(b.Started) })
	l.silences = append(l.silences, silences...)
}

// turn takes the changes of one turn of the control loop.
func (l *lifecycle) turn(at moment, changes []watchdog.Change) {
	l.begin(at)
	for _, c := range changes {
		if c.Raised {
			l.raise(c.Condition, at)
		} else {
			l.clear(keyOf(c.Condition), at)
		}
	}
	l.settle(at)
}

// begin starts the grace at the first turn.
func (l *lifecycle) begin(at moment) {
	if l.seen {
		return
	}
	l.seen, l.first, l.until = true, at, at.mono+l.grace
	for _, inc := range l.open {
		inc.note(at.wall, "Lifeline runs again")
	}
}

// pause notes the end of this run in what stands.
func (l *lifecycle) pause(at moment) {
	for _, inc := range l.open {
		inc.note(at.wall, "Lifeline was stopped; what follows until it runs again was not seen")
	}
}

// reconcile makes the incidents hold exactly what stands, whatever changes
// were missed.
func (l *lifecycle) reconcile(at moment, standing []watchdog.Condition) {
	l.begin(at)
	l.looked = at.mono
	now := make(map[conditionKey]bool, len(standing))
	for _, c := range standing {
		now[keyOf(c)] = true
		l.raise(c, at)
	}
	for _, inc := range l.open {
		for n, c := range inc.Conditions {
			k := conditionKey{c.Condition, c.Subject}
			if !c.Ended.IsZero() || now[k] || inc.marks[n].restored && at.mono < l.until {
				continue
			}
			ended := at
			if inc.marks[n].restored {
				// It was gone when Lifeline first looked again; that this is known for
				// certain only now makes it no longer.
				inc.note(at.wall, "%s %s was not found again after a restart of Lifeline; it was gone by %s", c.Condition, c.Subject, shown(l.first.wall))
				ended = l.first
			}
			inc.clear(n, ended, at.wall)
		}
	}
	l.settle(at)
}

// elapse does what time alone brings: reminders, the end of silences and of
// flapping.
func (l *lifecycle) elapse(at moment) {
	l.silences = slices.DeleteFunc(l.silences, func(s Silence) bool {
		over := !at.wall.Before(s.Until)
		if over {
			l.out.expired = append(l.out.expired, s)
		}
		return over
	})
	for k, times := range l.raises {
		if times = since(times, at.mono-l.flapWindow); len(times) == 0 {
			delete(l.raises, k)
		} else {
			l.raises[k] = times
		}
	}
	l.settle(at)
}

// take gives what the steps since the last call asked for.
func (l *lifecycle) take() output {
	for _, inc := range l.open {
		if inc.dirty {
			l.out.changed = append(l.out.changed, inc)
			inc.dirty = false
		}
	}
	out := l.out
	l.out = output{}
	return out
}

// raise takes a standing condition; one that is known is brought up to date.
func (l *lifecycle) raise(c watchdog.Condition, at moment) {
	k := keyOf(c)
	inc, n := l.locate(k)
	if inc == nil {
		inc = l.incidentFor(k, at)
		n = inc.find(k)
	}
	if n < 0 {
		inc.Conditions = append(inc.Conditions, ConditionState{Condition: k.name, Subject: k.subject})
		inc.marks = append(inc.marks, mark{})
		n = len(inc.Conditions) - 1
		inc.Conditions[n].Ended = stamp(at.wall) // until begun
	}
	st := &inc.Conditions[n]
	if !st.Ended.IsZero() {
		l.began(inc, n, c, at)
	}
	inc.marks[n].restored = false
	if st.Severity != c.Severity {
		inc.note(at.wall, "%s %s is now %s: %s", st.Condition, st.Subject, c.Severity, c.Evidence)
		inc.because(ConditionChanged)
		st.Severity = c.Severity
	}
	st.Evidence = clip(c.Evidence, mostText)
}

// began marks the beginning of a condition, the first or a further one.
func (l *lifecycle) began(inc *incident, n int, c watchdog.Condition, at moment) {
	st := &inc.Conditions[n]
	k := conditionKey{st.Condition, st.Subject}
	held := st.Flapping && inc.stands(n, at.mono, l.flapQuiet) && st.Severity != ""
	start := stamp(c.Since)
	if start.Year() < 1970 || start.After(at.wall) {
		start = stamp(at.wall)
	}
	st.Since, st.Ended, st.Status = start, time.Time{}, StatusFiring
	if !held {
		st.Severity = c.Severity
	}
	if start.Before(inc.Started) && !inc.Announced {
		inc.Started = start
	}
	inc.note(at.wall, "%s %s (%s) was raised: %s", c.Name, c.Subject, c.Severity, c.Evidence)
	if l.flapCount > 0 {
		l.raises[k] = append(since(l.raises[k], at.mono-l.flapWindow), at.mono)
		if len(l.raises[k]) >= l.flapCount && !st.Flapping {
			st.Flapping = true
			inc.note(at.wall, "%s %s is flapping: raised %d times in %s; the incident stays open until it has been gone for %s",
				c.Name, c.Subject, len(l.raises[k]), brief(l.flapWindow), brief(l.flapQuiet))
			inc.because(FlappingBegan)
		}
	}
	if !held {
		inc.because(ConditionJoined)
	}
}

// clear ends a condition wherever it stands.
func (l *lifecycle) clear(k conditionKey, at moment) {
	for _, inc := range l.open {
		if n := inc.find(k); n >= 0 && inc.Conditions[n].Ended.IsZero() {
			inc.clear(n, at, at.wall)
		}
	}
}

// locate finds the open incident that holds a condition, standing or not.
func (l *lifecycle) locate(k conditionKey) (*incident, int) {
	for _, inc := range l.open {
		if n := inc.find(k); n >= 0 {
			return inc, n
		}
	}
	return nil, -1
}

// incidentFor finds the incident that a new condition belongs to, or opens
// one.
func (l *lifecycle) incidentFor(k conditionKey, at moment) *incident {
	s := scopeOf(k.name, k.subject)
	var best *incident
	fit := 0
	for _, inc := range l.open {
		for n, c := range inc.Conditions {
			if !inc.stands(n, at.mono, l.flapQuiet) {
				continue
			}
			if f := s.meets(scopeOf(c.Condition, c.Subject)); f > fit {
				best, fit = inc, f
			}
		}
	}
	if best == nil && len(l.open) >= mostOpen {
		best = l.open[len(l.open)-1]
	}
	if best == nil {
		best = newIncident(incidentID(l.host, k, at, l.open, l.out.closed), l.host, at)
		l.open = append(l.open, best)
	}
	return best
}

// next is when elapse has something to do, on the monotonic clock; false when
// only a turn can bring something.
func (l *lifecycle) next(at moment) (time.Duration, bool) {
	var next time.Duration
	found := false
	consider := func(d time.Duration) {
		if !found || d < next {
			next, found = d, true
		}
	}
	for _, inc := range l.open {
		if l.looked < l.until && inc.unsure() {
			consider(max(l.until, at.mono+lookAgain)) // with what stands by then
		}
		if l.reminds(inc, at.mono) {
			consider(inc.lastEvent + l.repeat)
		}
		for n, c := range inc.Conditions {
			if c.Flapping && !c.Ended.IsZero() {
				consider(inc.marks[n].ended + l.flapQuiet)
			}
		}
	}
	for _, s := range l.silences {
		consider(at.mono + s.Until.Sub(at.wall))
	}
	return next, found
}

// since drops the times before t.
func since(times []time.Duration, t time.Duration) []time.Duration {
	n, _ := slices.BinarySearch(times, t)
	return slices.Delete(times, 0, n)
}
