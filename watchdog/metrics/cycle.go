package metrics

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"lifeline/watchdog"
	"lifeline/watchdog/alert"
	"lifeline/watchdog/control"
)

// mostLinks bounds the links that are shown.
const mostLinks = 100

// phases are all phases of a controller, in order.
var phases = []control.Phase{control.Free, control.Probing, control.Engaged, control.Fewer, control.PauseAll, control.Backoff, control.Blind, control.Watching}

// shown are the links that are told of: hardware, and what transfers or probes
// went over; the lowest by index where there are too many. Their names are made
// fit for a label: the kernel takes any bytes for a name.
func (s scrape) shown() (ls []watchdog.Link, omitted int) {
	for _, l := range s.cycle.Snapshot.Links {
		if s.known[l.Index] {
			l.Name = strings.ToValidUTF8(l.Name, "?")
			ls = append(ls, l)
		}
	}
	slices.SortFunc(ls, func(a, b watchdog.Link) int { return cmp.Compare(a.Index, b.Index) })
	if n := len(ls) - mostLinks; n > 0 {
		return ls[:mostLinks], n
	}
	return ls, 0
}

func (s scrape) links() {
	ls, omitted := s.shown()
	s.put(linksOmitted, float64(omitted))
	names := map[string]bool{} // a rename may leave two of a name in one sample
	for _, l := range ls {
		if names[l.Name] {
			continue
		}
		names[l.Name] = true
		s.put(linkCarrier, bit(l.Carrier), l.Name)
		for _, d := range directions {
			s.direction(l, d)
		}
		s.paths(l)
	}
}

// direction tells of one direction of a link.
func (s scrape) direction(l watchdog.Link, d watchdog.Direction) {
	labels := []string{l.Name, d.String()}
	s.put(linkBytes, float64(l.Counters[d].Bytes), labels...)
	capacity, delay := l.Speed, l.Delay[d]
	for _, st := range s.cycle.Decision.Links {
		if st.Link != l.Index || st.Direction != d {
			continue
		}
		capacity = cmp.Or(st.Capacity, capacity)
		for _, p := range phases {
			s.put(linkPhase, bit(st.Phase == p), l.Name, d.String(), p.String())
		}
	}
	if capacity > 0 {
		s.put(linkCapacity, capacity, labels...)
		if r := l.Rates[d]; r.Known {
			s.put(linkUsed, r.Bytes/capacity, labels...)
		}
	}
	if delay.Known {
		s.put(linkDelay, delay.Queue.Seconds(), labels...)
	}
	if rate, ok := s.cycle.Outcome.Shapers[watchdog.ShaperKey{Link: l.Index, Direction: d}]; ok {
		s.put(linkShaper, rate, labels...)
	}
}

// paths tells what the targets over a link answer.
func (s scrape) paths(l watchdog.Link) {
	least := math.NaN()
	for _, p := range s.cycle.Snapshot.Paths {
		if p.Link == l.Index && !math.IsNaN(p.Loss) {
			least = p.Loss
			break
		}
	}
	for _, p := range s.cycle.Snapshot.Paths {
		if p.Link == l.Index && p.Loss < least {
			least = p.Loss
		}
	}
	if !math.IsNaN(least) {
		s.put(probeLoss, least, l.Name)
	}
	if h, ok := s.rtts[l.Index]; ok {
		s.out <- labelled(probeRTT, h, l.Name)
	}
}

// States of a transfer, as the labels name them.
var states = []string{"free", "limited", "paused", "out_of_reach"}

// state is what is done to a transfer.
func state(t watchdog.Transfer, l watchdog.Limit) string {
	switch {
	case l.Pause:
		return "paused"
	case l != (watchdog.Limit{}):
		return "limited"
	case t.Control == watchdog.ControlNone:
		return "out_of_reach"
	}
	return "free"
}

func (s scrape) transfers() {
	type key struct {
		d    watchdog.Direction
		what string
	}
	n, held := map[key]int{}, map[key]int{}
	for _, t := range s.cycle.Snapshot.Transfers {
		l := s.cycle.Outcome.Limits[t.ID]
		n[key{t.Direction, state(t, l)}]++
		for m, stands := range standing(l) {
			if stands {
				held[key{t.Direction, mechanisms[m]}]++
			}
		}
	}
	for _, d := range directions {
		for _, st := range states {
			s.put(transfers, float64(n[key{d, st}]), d.String(), st)
		}
		for _, m := range mechanisms {
			s.put(limits, float64(held[key{d, m}]), d.String(), m)
		}
	}
}

// conditions counts the conditions that stand, by what may be a label.
func (s scrape) conditions() {
	type key struct{ name, severity, link, direction string }
	n := map[key]int{}
	for _, c := range s.cycle.Decision.Conditions {
		link, direction := s.place(c.Subject)
		n[key{string(c.Name), string(c.Severity), link, direction}]++
	}
	for k, v := range n {
		s.put(conditions, float64(v), k.name, k.severity, k.link, k.direction)
	}
}

// place is a condition's subject as a link that is shown and, where it has one,
// a direction; both are empty for any other subject.
func (s scrape) place(subject watchdog.Subject) (link, direction string) {
	ls, _ := s.shown()
	if subject.Kind != watchdog.SubjectLink || !slices.ContainsFunc(ls, func(l watchdog.Link) bool { return l.Name == subject.Name }) {
		return "", ""
	}
	if subject.Directed {
		direction = subject.Direction.String()
	}
	return subject.Name, direction
}

// alerts tells how alerting does.
func (s scrape) alerts(st alert.Status) {
	s.put(incidents, float64(st.Open))
	s.put(silences, float64(st.Silences))
	s.put(spoolBytes, float64(st.Spool.Bytes))
	s.put(spoolMax, float64(st.Spool.Max))
	s.put(spoolUnsafe, float64(st.Spool.Unwrit))
	for _, r := range st.Receivers {
		s.put(waiting, float64(r.Pending), r.Name)
		s.put(deadLetters, float64(r.Dead), r.Name)
		s.put(sent, float64(r.Sent), r.Name)
		s.put(unsent, float64(r.Failed), r.Name)
		s.put(dropped, float64(r.Dropped), r.Name)
		if !r.Oldest.IsZero() {
			s.put(oldest, seconds(r.Oldest), r.Name)
		}
	}
}
