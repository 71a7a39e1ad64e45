package incident

import (
	"fmt"
	rand "math/rand/v2"
	"slices"
	"testing"
	"time"

	"lifeline/watchdog"
)

// view is what a receiver believes, from what it was told.
type view struct {
	open  map[string]int // incident -> last sequence
	ended map[string]bool
}

func newView() *view { return &view{map[string]int{}, map[string]bool{}} }

// take checks one event against what the receiver knows.
func (v *view) take(ev Event, kind Kind) error {
	id, seq := ev.IncidentID(), ev.Incident.Sequence
	last, known := v.open[id]
	switch {
	case v.ended[id]:
		return fmt.Errorf("%s after its end", ev.ID)
	case known && kind == Firing:
		return fmt.Errorf("%s fires twice", ev.ID)
	case !known && kind != Firing:
		return fmt.Errorf("%s is %s and was never firing", ev.ID, kind)
	case seq <= last:
		return fmt.Errorf("%s after %d", ev.ID, last)
	}
	v.open[id] = seq
	if kind == Resolved {
		delete(v.open, id)
		v.ended[id] = true
	}
	return nil
}

var subjects = []watchdog.Condition{saturated, saturatedTx, errorsOn, down, unreachable, blind, unprotected, failed}

// Whatever happens, in whatever order, with restarts and silences in between:
// each receiver hears of each incident one begin, then changes, then one end,
// and in the end nothing stays open that does not stand.
func TestEveryReceiverHearsWholeIncidents(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 4))
		s := newSim(t,
			Route{Name: "all", MinWeight: 1, Minor: true, Reminders: true, Resolved: true},
			Route{Name: "critical", MinWeight: 3, Resolved: true})
		views := map[string]*view{"all": newView(), "critical": newView()}
		for range 300 {
			s.disturb(r)
			s.step(views)
		}
		s.life.Silences = nil
		s.stand = nil
		for range 20 { // beyond grace and flapping
			s.now += time.Minute
			s.step(views)
		}
		for name, v := range views {
			if len(v.open) > 0 || len(s.life.Incidents) > 0 {
				t.Fatalf("seed %d: %s: open %v, lifecycle %d", seed, name, v.open, len(s.life.Incidents))
			}
		}
	}
}

// disturb changes something at random.
func (s *sim) disturb(r *rand.Rand) {
	switch n := r.IntN(20); {
	case n < 8:
		c := subjects[r.IntN(len(subjects))]
		if !slices.ContainsFunc(s.stand, func(o watchdog.Condition) bool { return keyOf(o) == keyOf(c) }) {
			s.stand = append(s.stand, c)
		}
	case n < 15 && len(s.stand) > 0:
		s.stand = slices.Delete(s.stand, 0, 1+r.IntN(len(s.stand)))
	case n == 15 && len(s.stand) > 0:
		s.stand[0].Severity = []watchdog.Severity{watchdog.Info, watchdog.Warning, watchdog.Critical}[r.IntN(3)]
	case n == 16:
		s.life.Silences = append(s.life.Silences, Silence{ID: "s", Severity: "warning", Until: s.at().Wall.Add(time.Minute)})
	case n == 17:
		n := s.restart()
		*s = *n
	}
	s.now += time.Duration(r.Int64N(int64(40 * time.Second)))
}

// step is one turn; what goes out is checked.
func (s *sim) step(views map[string]*view) {
	s.life.Reconcile(s.at(), s.stand)
	s.life.Advance(s.at())
	out := s.life.Output()
	for _, o := range out.Events {
		for _, to := range o.To {
			if err := views[to.Receiver].take(o.Event, to.Kind); err != nil {
				s.t.Fatalf("%s: %v", to.Receiver, err)
			}
		}
	}
	for _, inc := range out.Changed {
		s.disk[inc.ID] = asJSON(s.t, inc)
	}
	for _, inc := range out.Closed {
		delete(s.disk, inc.ID)
	}
	for _, c := range s.stand {
		n := 0
		for _, inc := range s.life.Incidents {
			if i := inc.find(keyOf(c)); i >= 0 && inc.Conditions[i].Ended.IsZero() {
				n++
			}
		}
		if n != 1 {
			s.t.Fatalf("%s %s stands in %d incidents", c.Name, c.Subject, n)
		}
	}
}
