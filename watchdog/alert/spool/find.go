package spool

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"lifeline/watchdog/alert/incident"
)

// ErrNoIncident says that no incident has the id that was asked for.
var ErrNoIncident = errors.New("no such incident")

// ErrAmbiguous says that several incidents have ids that begin with what was
// asked for; the error lists them.
var ErrAmbiguous = errors.New("several incidents begin with this, name more of it")

// maxListed bounds the incidents that such an error lists.
const maxListed = 10

// idMatches are the incidents whose ids begin with what was asked for.
type idMatches struct {
	id       string
	exact    bool                // one has exactly this id: the first of list
	youngest []incident.Incident // oldest first
	count    int
}

// add takes an incident, older ones first, if it is one of them.
func (f *idMatches) add(i incident.Incident) {
	twice := slices.ContainsFunc(f.youngest, func(o incident.Incident) bool { return o.ID == i.ID }) // it ended just now
	if f.id == "" || f.exact || twice || !strings.HasPrefix(i.ID, f.id) {
		return
	}
	if f.count++; i.ID == f.id {
		f.exact, f.youngest = true, nil
	}
	f.youngest = append(f.youngest, i)
	if len(f.youngest) > maxListed {
		f.youngest = slices.Delete(f.youngest, 0, 1)
	}
}

// one gives the incident that was meant. The error is ErrNoIncident or
// ErrAmbiguous.
func (f *idMatches) one() (incident.Incident, error) {
	switch {
	case f.exact, f.count == 1:
		return f.youngest[0], nil
	case f.count == 0:
		return incident.Incident{}, fmt.Errorf("incident %q: %w: `lifeline history` lists them", f.id, ErrNoIncident)
	}
	var b strings.Builder
	for _, i := range slices.Backward(f.youngest) {
		b.WriteString("\n  " + i.Row())
	}
	if n := f.count - len(f.youngest); n > 0 {
		fmt.Fprintf(&b, "\n  and %d older ones", n)
	}
	return incident.Incident{}, fmt.Errorf("incident %q: %w:%s", f.id, ErrAmbiguous, b.String())
}
