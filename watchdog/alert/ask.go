package alert

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/watchdog"
)

// Status is how alerting does.
type Status struct {
	Receivers []ReceiverStatus `json:"receivers"`
	Open      int              `json:"open"`     // incidents that stand
	Silences  int              `json:"silences"` // in force
	Spool     SpoolStatus      `json:"spool"`
	Overrun   uint64           `json:"overrun"` // turns whose changes found no room; their states were looked at later
}

// ReceiverStatus is how one receiver does.
type ReceiverStatus struct {
	Name       string    `json:"name"`
	Type       string    `json:"type"`   // empty: no longer configured
	Target     string    `json:"target"` // scheme and host
	Pending    int       `json:"pending"`
	Oldest     time.Time `json:"oldest,omitzero"` // when the event that is being sent came in
	Held       int       `json:"held"`            // ends that Alertmanager is not told yet
	Dead       int       `json:"dead_letters"`
	Dropped    int       `json:"dropped"` // since the spool was begun
	Sent       uint64    `json:"sent"`    // since the daemon began
	Failed     uint64    `json:"failed"`  // attempts, likewise
	LastSent   time.Time `json:"last_sent,omitzero"`
	LastErr    string    `json:"last_error,omitempty"` // without secrets; empty when the last attempt went well
	LastErrAt  time.Time `json:"last_error_at,omitzero"`
	NextTry    time.Time `json:"next_try,omitzero"`
	Heartbeats bool      `json:"heartbeats"`
}

// SpoolStatus is how the spool does.
type SpoolStatus struct {
	Bytes    int64  `json:"bytes"` // in use on disk
	Max      int64  `json:"max"`
	Unwrit   int    `json:"unwritten"`           // events that the disk has not taken yet
	Err      string `json:"error,omitempty"`     // of the last write
	PutAside string `json:"put_aside,omitempty"` // where a damaged spool went
	// Restored is when the spool was written again that somebody had deleted or
	// replaced.
	Restored time.Time `json:"restored,omitzero"`
	History  int       `json:"history"` // incidents remembered
}

// Status tells how alerting does. It waits for no disk.
func (a *Alerts) Status() Status {
	var st Status
	_, st.Overrun = a.box.state()
	a.mu.Lock()
	st.Open, st.Silences = len(a.life.open), len(a.life.silences)
	a.mu.Unlock()
	for _, w := range a.workers {
		st.Receivers = append(st.Receivers, w.status())
	}
	a.spool.report(&st)
	return st
}

// status gives a worker's figures.
func (w *worker) status() ReceiverStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.figures
	return ReceiverStatus{
		Name: w.cfg.Name, Type: w.cfg.Type, Target: targetOf(w.cfg), Held: f.held, Oldest: f.oldest,
		Sent: f.sent, Failed: f.failed, LastSent: f.lastSent, LastErr: f.lastErr, LastErrAt: f.lastErrAt, NextTry: f.next,
		Heartbeats: w.cfg.Heartbeat > 0,
	}
}

// report adds the spool's figures, and the queues of receivers that are no
// longer configured.
func (s *spool) report(st *Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Spool = SpoolStatus{Bytes: s.health.bytes, Max: s.max, Unwrit: len(s.fresh), Err: s.health.err, PutAside: s.health.aside, Restored: s.health.restored, History: s.history.incidents}
	var others []string
	for name := range s.counts {
		if !slices.ContainsFunc(st.Receivers, func(r ReceiverStatus) bool { return r.Name == name }) {
			others = append(others, name)
		}
	}
	slices.Sort(others)
	for _, name := range others {
		if c := s.counts[name]; c.pending+c.dead > 0 {
			st.Receivers = append(st.Receivers, ReceiverStatus{Name: name})
		}
	}
	for n := range st.Receivers {
		r := &st.Receivers[n]
		if c := s.counts[r.Name]; c != nil {
			r.Pending, r.Dead, r.Dropped = c.pending, c.dead, c.drops.Total
		}
	}
}

// Deliveries lists the first n events that wait for a receiver, oldest first.
func (a *Alerts) Deliveries(receiver string, n int) ([]Delivery, error) {
	return a.spool.queued(receiver, n)
}

// DeadLetters lists the events that receivers refused, oldest first in each
// receiver; an empty name is all receivers.
func (a *Alerts) DeadLetters(receiver string) (out []DeadLetter, err error) {
	for _, name := range a.named(receiver) {
		letters, err := a.spool.letters(name)
		if err != nil {
			return nil, fmt.Errorf("dead letters of %q: %w", name, err)
		}
		out = append(out, letters...)
	}
	return out, nil
}

// named gives the receivers that a name means.
func (a *Alerts) named(receiver string) (names []string) {
	if receiver != "" {
		return []string{receiver}
	}
	for _, r := range a.cfg.Receivers {
		names = append(names, r.Name)
	}
	return names
}

// Resend puts refused events back into their queues: those of one receiver or,
// with an empty name, of all; one event or, with an empty id, all. It tells how
// many, and waits for the disk.
func (a *Alerts) Resend(receiver, event string) (n int, err error) {
	if err := a.known(receiver); err != nil {
		return 0, fmt.Errorf("resend: %w", err)
	}
	for _, w := range a.workers {
		if receiver != "" && w.cfg.Name != receiver {
			continue
		}
		k, err := a.spool.revive(w.cfg.Name, event)
		n += k
		if err != nil {
			return n, fmt.Errorf("dead letters of %q: %w", w.cfg.Name, err)
		}
		w.rewind()
	}
	if n == 0 && event != "" {
		return 0, fmt.Errorf("resend: no receiver refused an event %q: `lifeline alerts` lists those that were", clip(event, mostName))
	}
	return n, nil
}

// known says so when no receiver has a name; an empty one means all.
func (a *Alerts) known(receiver string) error {
	var names []string
	for _, r := range a.cfg.Receivers {
		names = append(names, r.Name)
	}
	switch {
	case len(names) == 0:
		return fmt.Errorf("%w: none is configured: add a [[receiver]] table", ErrNoReceiver)
	case receiver != "" && !slices.Contains(names, receiver):
		return fmt.Errorf("%w: %q: there are %s", ErrNoReceiver, clip(receiver, mostName), strings.Join(names, ", "))
	}
	return nil
}

// Silence keeps what fits s from being told for a time, from now on, and gives
// it with its id. The end of an incident that was told before is told all the
// same.
func (a *Alerts) Silence(s Silence, lasts time.Duration) (Silence, error) {
	now := time.Now()
	s.ID, s.From, s.Until = newID(), stamp(now), stamp(now.Add(lasts))
	if err := s.check(now); err != nil {
		return Silence{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.life.silences) >= mostSilences {
		return Silence{}, fmt.Errorf("silence: there are %d already: end one first", mostSilences)
	}
	a.life.silences = append(a.life.silences, s)
	a.spool.append(nil, map[slot][]byte{{string(bucketSilences), s.ID}: encode(s)})
	a.box.wake()
	return s, nil
}

// Silences lists the silences in force.
func (a *Alerts) Silences() []Silence {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.life.silences)
}

// ErrNoSilence says that no silence has the id that was given.
var ErrNoSilence = errors.New("no such silence")

// Unsilence ends a silence before its time, or with the id "all" every one.
func (a *Alerts) Unsilence(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	puts := map[slot][]byte{}
	a.life.silences = slices.DeleteFunc(a.life.silences, func(s Silence) bool {
		ends := s.ID == id || id == "all"
		if ends {
			puts[slot{string(bucketSilences), s.ID}] = nil
		}
		return ends
	})
	if len(puts) == 0 && id != "all" {
		return fmt.Errorf("silence %q: %w: `lifeline silence list` shows those in force", clip(id, mostName), ErrNoSilence)
	}
	a.spool.append(nil, puts)
	a.box.wake()
	return nil
}

// ErrNoReceiver says that no receiver has the name that was given.
var ErrNoReceiver = errors.New("no such receiver")

// Test sends a test incident, its begin and its end, to one receiver or, with
// an empty name, to all, past silences and filters. It gives the incident's id,
// under which Answers tells what they made of it.
func (a *Alerts) Test(receiver string) (string, error) {
	if err := a.known(receiver); err != nil {
		return "", fmt.Errorf("test alert: %w", err)
	}
	var names []string
	var answers []Answer
	for _, r := range a.cfg.Receivers {
		if receiver != "" && r.Name != receiver {
			continue
		}
		ans := Answer{Receiver: r.Name, Type: r.Type, Target: targetOf(r)}
		if r.Type == TypePing {
			ans.Untested = "receivers of type \"ping\" take heartbeats and no alerts"
		} else {
			names = append(names, r.Name)
		}
		answers = append(answers, ans)
	}
	if len(names) == 0 {
		return "", errors.New("test alert: " + answers[0].Untested)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	out := testIncident(a.host, a.moment(now), names)
	id := out.closed[0].ID
	a.trials.begin(id, now, answers)
	a.hand(out)
	for _, w := range a.workers {
		if slices.Contains(names, w.cfg.Name) {
			poke(w.nudges) // a person waits: a pause that is only a guess is over
		}
	}
	return id, nil
}

// testCondition is the name of what a test alert tells.
const testCondition watchdog.ConditionName = "LifelineTest"

// testIncident makes an incident that begins and ends at once.
func testIncident(host string, at moment, receivers []string) output {
	inc := newIncident(incidentID(host, conditionKey{testCondition, newID()}, at), host, at)
	inc.Test = true
	inc.Current, inc.Severity = watchdog.Info, watchdog.Info
	c := ConditionState{Condition: testCondition, Subject: "alerts", Severity: watchdog.Info, Status: StatusFiring,
		Since: inc.Started, Evidence: "a person asked for a test alert; nothing happened"}
	inc.Conditions = []ConditionState{c}
	inc.explain(inc.Conditions)
	inc.note(at.wall, "a test alert was asked for, for %s", strings.Join(receivers, ", "))
	tell := func(ev Event) outgoing {
		o := outgoing{event: ev}
		for _, r := range receivers {
			o.to = append(o.to, target{r, ev.Kind})
		}
		return o
	}
	firing := tell(inc.event(Firing, at, inc.Conditions))
	inc.Conditions[0].Ended, inc.Ended = inc.Started, inc.Started
	resolved := tell(inc.event(Resolved, at, nil))
	return output{events: []outgoing{firing, resolved}, closed: []*incident{inc}}
}

// History gives the last n incidents, youngest first; those that stand come
// before those that are over. Their timelines are left out: Explain gives them.
func (a *Alerts) History(n int) (out []Incident, err error) {
	a.mu.Lock()
	for _, inc := range slices.Backward(a.life.open) {
		out = append(out, inc.copy().brief())
	}
	a.mu.Unlock()
	if len(out) >= n {
		return out[:max(n, 0)], nil
	}
	past, err := a.spool.past(n - len(out))
	return append(out, past...), err
}

// Explain gives everything that is known of an incident; the beginning of its
// id is enough. The error is ErrNoIncident where there is none, and ErrAmbiguous
// where there are several.
func (a *Alerts) Explain(id string) (Incident, error) {
	var open []Incident
	a.mu.Lock()
	for _, inc := range a.life.open {
		if strings.HasPrefix(inc.ID, id) {
			open = append(open, inc.copy())
		}
	}
	a.mu.Unlock()
	return a.spool.remembered(id, open...)
}

// brief is the incident without its timeline.
func (i Incident) brief() Incident {
	i.Timeline, i.Omitted = nil, 0
	return i
}

// copy is the incident apart from the lifecycle's own.
func (i *incident) copy() Incident {
	c := i.Incident
	c.Conditions, c.Timeline = slices.Clone(c.Conditions), slices.Clone(c.Timeline)
	return c
}
