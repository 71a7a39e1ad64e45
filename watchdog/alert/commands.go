package alert

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
)

// DeadLetters lists the events that receivers refused, oldest first in each
// receiver; an empty name is all receivers.
func (a *Alerts) DeadLetters(receiver string) (out []spool.DeadLetter, err error) {
	for _, name := range a.named(receiver) {
		letters, err := a.spool.DeadLetters(name)
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
		if receiver != "" && w.Name() != receiver {
			continue
		}
		k, err := a.spool.Requeue(w.Name(), event)
		n += k
		if err != nil {
			return n, fmt.Errorf("dead letters of %q: %w", w.Name(), err)
		}
		w.Rewind()
	}
	if n == 0 && event != "" {
		return 0, fmt.Errorf("resend: no receiver refused an event %q: `lifeline alerts` lists those that were", incident.Clip(event, incident.MaxName))
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
		return fmt.Errorf("%w: %q: there are %s", ErrNoReceiver, incident.Clip(receiver, incident.MaxName), strings.Join(names, ", "))
	}
	return nil
}

// Silence keeps what fits s from being told for a time, from now on, and gives
// it with its id. The end of an incident that was told before is told all the
// same.
func (a *Alerts) Silence(s incident.Silence, lasts time.Duration) (incident.Silence, error) {
	now := time.Now()
	s.ID, s.From, s.Until = incident.NewID(), incident.Timestamp(now), incident.Timestamp(now.Add(lasts))
	if err := s.Validate(now); err != nil {
		return incident.Silence{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.life.Silences) >= incident.MaxSilences {
		return incident.Silence{}, fmt.Errorf("silence: there are %d already: end one first", incident.MaxSilences)
	}
	a.life.Silences = append(a.life.Silences, s)
	a.spool.SaveSilence(s)
	a.box.wake()
	return s, nil
}

// Silences lists the silences in force.
func (a *Alerts) Silences() []incident.Silence {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.life.Silences)
}

// ErrNoSilence says that no silence has the id that was given.
var ErrNoSilence = errors.New("no such silence")

// Unsilence ends a silence before its time, or with the id "all" every one.
func (a *Alerts) Unsilence(id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []string
	a.life.Silences = slices.DeleteFunc(a.life.Silences, func(s incident.Silence) bool {
		ends := s.ID == id || id == "all"
		if ends {
			ids = append(ids, s.ID)
		}
		return ends
	})
	if len(ids) == 0 && id != "all" {
		return fmt.Errorf("silence %q: %w: `lifeline silence list` shows those in force", incident.Clip(id, incident.MaxName), ErrNoSilence)
	}
	a.spool.DeleteSilences(ids)
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
	var answers []notify.Answer
	for _, r := range a.cfg.Receivers {
		if receiver != "" && r.Name != receiver {
			continue
		}
		ans := notify.Answer{Receiver: r.Name, Type: r.Type, Target: notify.TargetOf(r)}
		if r.Type == notify.TypePing {
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
	out := incident.TestIncident(a.host, a.moment(now), names)
	id := out.Closed[0].ID
	a.trials.Add(id, now, answers)
	a.record(out)
	for _, w := range a.workers {
		if slices.Contains(names, w.Name()) {
			w.Nudge() // a person waits: a pause that is only a guess is over
		}
	}
	return id, nil
}

// History gives the last n incidents, youngest first; the active ones come
// before those that are over. Their timelines are left out: Explain gives them.
func (a *Alerts) History(n int) (out []incident.Incident, err error) {
	a.mu.Lock()
	for _, inc := range slices.Backward(a.life.Incidents) {
		out = append(out, inc.Copy().WithoutTimeline())
	}
	a.mu.Unlock()
	if len(out) >= n {
		return out[:max(n, 0)], nil
	}
	past, err := a.spool.History(n - len(out))
	return append(out, past...), err
}

// Explain gives everything that is known of an incident; the beginning of its
// id is enough. The error is ErrNoIncident where there is none, and ErrAmbiguous
// where there are several.
func (a *Alerts) Explain(id string) (incident.Incident, error) {
	var open []incident.Incident
	a.mu.Lock()
	for _, inc := range a.life.Incidents {
		if strings.HasPrefix(inc.ID, id) {
			open = append(open, inc.Copy())
		}
	}
	a.mu.Unlock()
	return a.spool.Incident(id, open...)
}

// Answers tells what receivers made so far of a test alert of this run, by its
// incident's id. Nothing secret is in it.
func (a *Alerts) Answers(id string) ([]notify.Answer, error) {
	out, ok := a.trials.Answers(id)
	if !ok {
		return nil, fmt.Errorf("test alert %q: %w since the daemon began, or it is long ago", incident.Clip(id, incident.MaxName), spool.ErrNoIncident)
	}
	return out, nil
}
