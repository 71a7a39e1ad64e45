package control

import (
	"math"
	"slices"
	"time"
)

// end is one Lifeline.
type end struct {
	c        *Controller
	next     float64
	last     float64
	passed   float64 // bytes at its NIC
	seen     float64
	flows    []Flow
	rate     float64 // as it was measured last
	repeated bool    // the last step did not look at links, nor set limits unless something moved
	out      Output
	shaped   float64 // since when the shaper is asked for
	paused   map[string]bool
	phase    Phase
	toggle   int
	phases   int
	born     map[string]float64
}

func newEnd(s Settings) *end {
	return &end{c: New(s), paused: map[string]bool{}, born: map[string]float64{}}
}

// probing sends a probe now and then over the path as it is.
func (w *world) probing(now float64) {
	rtt := w.rtt + w.link.delay()
	if w.foreign != nil {
		rtt += w.foreign(now)
	}
	if w.route != nil {
		rtt += w.route(now)
	}
	w.probe.step(now, rtt, len(w.ctl.born) > 0)
}

func (w *world) delay(now float64) Delay {
	if w.noDelay {
		return Delay{}
	}
	d := w.probe.delay(now, w.rtt)
	w.probe.look(now, d.Queue)
	return d
}

// control lets the controllers act when they want to.
func (w *world) control(now float64) {
	tenth := math.Floor(now/0.1) != math.Floor((now-w.dt)/0.1)
	if tenth {
		for _, t := range w.transfers {
			if t.alive {
				t.mark()
			}
		}
	}
	w.act(w.ctl, now)
	if w.farCtl != nil {
		w.farCtl.passed = w.ctl.passed
		w.act(w.farCtl, now)
	}
}

func (w *world) act(e *end, now float64) {
	fresh := false
	for _, t := range w.transfers { // a birth is seen within 20 ms
		if t.alive && !t.theirs && e.born[t.id] == 0 && now-t.born > 0.02 {
			e.born[t.id], fresh = now, true
			e.next = min(e.next, now)
		}
	}
	if now < e.next || now < w.asleep {
		return
	}
	e.repeated = e.out.Rest && !e.repeated && !fresh && len(w.met(e)) == len(e.flows)
	in := w.sample(e, now)
	e.out = e.c.Step(in)
	e.next = now + e.out.Tick.Seconds()
	w.probe.close = 0
	if e.out.Moving { // asked with every step, but not oftener than each 50 ms
		w.probe.close = max(0.05, e.out.Tick.Seconds())
	}
	if !e.repeated {
		e.last, e.seen = now, e.passed
	}
	if !e.repeated || !e.out.Rest {
		w.apply(e, now)
	}
	if w.each != nil && e == w.ctl {
		w.each(now, e.out)
	}
}

// met gives the transfers that one end has seen the birth of.
func (w *world) met(e *end) (ts []*transfer) {
	for _, t := range w.transfers {
		if t.alive && !t.theirs && e.born[t.id] > 0 {
			ts = append(ts, t)
		}
	}
	return ts
}

func (w *world) sample(e *end, now float64) Input {
	in := Input{
		Now: time.Duration(now * 1e9), Delay: w.delay(now), Capacity: w.known, Learnt: w.learnt, Configured: w.known > 0,
		Shaper: w.shaper, ShaperOn: e.shaped > 0 && now-e.shaped > 0.05, Management: Reachable,
	}
	if !e.repeated && now > e.last {
		e.rate = (e.passed - e.seen) / (now - e.last) * (1 + 0.01*w.rng.NormFloat64())
	}
	in.Rate, in.RateKnown = e.rate, e.last > 0 && (e.repeated || now > e.last)
	if w.other != nil {
		in.Other = w.other(now)
	}
	if w.reach != nil {
		in.Management = w.reach(w)
	}
	if !e.repeated {
		e.flows = e.flows[:0]
		for _, t := range w.met(e) {
			e.flows = append(e.flows, t.flow(now))
		}
	}
	in.Flows = slices.Clone(e.flows)
	if w.input != nil {
		w.input(now, &in)
	}
	return in
}

func (w *world) apply(e *end, now float64) {
	if e.out.Shaper > 0 && e.shaped == 0 {
		e.shaped = now
	} else if e.out.Shaper == 0 {
		e.shaped = 0
	}
	if e.out.Phase != e.phase {
		e.phase = e.out.Phase
		e.phases++
	}
	i := 0
	for _, t := range w.transfers {
		if !t.alive || t.theirs || e.born[t.id] == 0 {
			continue
		}
		l := e.out.Flows[i]
		i++
		if l.Pause != e.paused[t.id] {
			e.paused[t.id] = l.Pause
			e.toggle++
		}
		w.merge(e, t, l)
	}
}

// merge writes what one end imposes; with a Lifeline at both, windows come
// from the receiver and pacing from the sender.
func (w *world) merge(e *end, t *transfer, l FlowLimit) {
	if w.far == nil {
		t.limit = l
		return
	}
	if e.c.model.Direction == Rx {
		t.limit.Window = l.Window
	} else {
		t.limit.Pacing = l.Pacing
	}
	t.limit.Pause = w.ctl.paused[t.id] || w.farCtl.paused[t.id]
}
