package notify

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/printable"
)

// maxTestAlerts bounds the test alerts whose answers are remembered.
const maxTestAlerts = 16

// Answer is what one receiver made of a test alert.
type Answer struct {
	Receiver string          `json:"receiver"`
	Type     string          `json:"type"`
	Target   string          `json:"target"` // scheme and host
	Taken    []incident.Kind `json:"taken"`  // of its two events
	Sent     bool            `json:"sent"`   // one of them was; a template may write nothing for both
	Took     time.Duration   `json:"took"`   // from the question to the last answer
	Err      string          `json:"error,omitempty"`
	Kept     bool            `json:"kept"` // it failed, and is tried again
	Untested string          `json:"untested,omitempty"`
}

// Answered tells whether the receiver is done with it, well or not.
func (a Answer) Answered() bool {
	return a.Untested != "" || a.Err != "" || len(a.Taken) == 2
}

// Well tells whether the test alert reached the receiver, or had no business
// there.
func (a Answer) Well() bool {
	return a.Untested != "" || a.Err == "" && a.Sent && len(a.Taken) == 2
}

// Row is the answer as one line, once it is there or nobody waits any longer.
func (a Answer) Row() string { return printable.String(a.row()) }

func (a Answer) row() string {
	row := fmt.Sprintf("%s (%s, %s): ", a.Receiver, a.Type, a.Target)
	switch {
	case a.Untested != "":
		return row + "not tested: " + a.Untested
	case a.Err != "" && a.Kept:
		return row + "FAILED: " + a.Err + "; it is kept and tried again"
	case a.Err != "":
		return row + "FAILED: " + a.Err + "; it is kept among the dead letters"
	case len(a.Taken) < 2:
		return row + "NO ANSWER yet: it is sent when its turn comes"
	case !a.Sent:
		return row + "NOT SENT: its template writes nothing for a test alert"
	case a.Type == TypeAlertmanager:
		return row + "took it within " + incident.FormatDuration(a.Took) + "; its end follows once Alertmanager has told of it"
	}
	return row + "took its begin and its end within " + incident.FormatDuration(a.Took)
}

// TestAlerts are the test alerts that were asked for, oldest first. The workers fill
// in the answers.
type TestAlerts struct {
	mu   sync.Mutex
	sent []*testAlert
}

type testAlert struct {
	id      string
	asked   time.Time
	answers []Answer
}

// Add notes a test alert before it goes out.
func (t *TestAlerts) Add(id string, asked time.Time, answers []Answer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.sent) >= maxTestAlerts {
		t.sent = slices.Delete(t.sent, 0, 1)
	}
	t.sent = append(t.sent, &testAlert{id, asked, answers})
}

// note changes the answers of a receiver that has not answered yet: to one test
// alert or, with an empty id, to all.
func (t *TestAlerts) note(receiver, id string, now time.Time, f func(*Answer)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ask := range t.sent {
		for n := range ask.answers {
			a := &ask.answers[n]
			if a.Receiver == receiver && (id == "" || id == ask.id) && !a.Answered() {
				f(a)
				a.Took = now.Sub(ask.asked)
			}
		}
	}
}

// Answers gives the answers so far.
func (t *TestAlerts) Answers(id string) ([]Answer, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ask := range t.sent {
		if ask.id == id {
			out := slices.Clone(ask.answers)
			for n := range out {
				out[n].Taken = slices.Clone(out[n].Taken)
			}
			return out, true
		}
	}
	return nil, false
}

// noteTestAnswer notes an event of a test alert that the receiver took, or that its
// template wrote nothing for.
func (w *Worker) noteTestAnswer(ev incident.Event, sent bool) {
	if ev.Test {
		w.tests.note(w.cfg.Name, ev.IncidentID(), w.now(), func(a *Answer) {
			a.Taken = append(a.Taken, ev.Kind)
			a.Sent = a.Sent || sent
		})
	}
}

// noteTestFailure notes that the receiver does not take a test alert; with an empty
// incident, that it takes nothing.
func (w *Worker) noteTestFailure(incident string, f *deliveryError) {
	w.tests.note(w.cfg.Name, incident, w.now(), func(a *Answer) { a.Err, a.Kept = f.msg, f.verdict != refused })
}
