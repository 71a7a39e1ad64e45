package engine

import (
	"fmt"
	"slices"
	"time"

	"lifeline/watchdog"
)

const (
	errorWindowLen  = time.Minute
	errorWindowStep = 5 * time.Second
	// errorRatio is the share of bad packets at which node-mixin and others alert.
	errorRatio = 0.01
	// errorMinimum keeps a single bad frame on a quiet link from being 1 %.
	errorMinimum = 10
)

// errorSample is a link's totals at one moment.
type errorSample struct {
	at      time.Duration
	index   int
	packets uint64
	bad     uint64 // cable, NIC: errors of both directions
	missed  uint64 // host: missed and fifo, which errors include
	flaps   uint64
}

// errorWindow is the last minute of a link's error counters.
type errorWindow struct{ samples []errorSample }

func sampleErrors(l *watchdog.Link, at time.Duration) errorSample {
	rx, tx := &l.Counters[watchdog.Rx], &l.Counters[watchdog.Tx]
	return errorSample{
		at: at, index: l.Index, packets: rx.Packets + tx.Packets,
		bad: rx.Errors + tx.Errors, missed: rx.Missed + rx.FIFO + tx.FIFO, flaps: l.CarrierChanges,
	}
}

// add notes a sample; one of another link or with falling counters starts the
// window anew, so that a reset is never a spike.
func (w *errorWindow) add(s errorSample) {
	if n := len(w.samples); n > 0 {
		last := w.samples[n-1]
		if s.index != last.index || s.packets < last.packets || s.bad < last.bad || s.missed < last.missed || s.flaps < last.flaps {
			w.samples = w.samples[:0]
		} else if n > 1 && s.at-w.samples[n-2].at < errorWindowStep {
			w.samples[n-1] = s
			return
		}
	}
	w.samples = append(w.samples, s)
	for len(w.samples) > 2 && s.at-w.samples[1].at >= errorWindowLen {
		w.samples = append(w.samples[:0], w.samples[1:]...)
	}
}

// finding judges the window.
func (w *errorWindow) finding(name string) finding {
	f := finding{name: watchdog.LinkErrors, subject: watchdog.LinkSubject(name), truth: unknown, severity: watchdog.Warning}
	if len(w.samples) < 2 {
		return f
	}
	a, b := w.samples[0], w.samples[len(w.samples)-1]
	packets, bad, missed, flaps := b.packets-a.packets, b.bad-a.bad, b.missed-a.missed, b.flaps-a.flaps
	total := bad + missed
	f.truth = known((total >= errorMinimum && float64(total) >= errorRatio*float64(packets)) || flaps >= 4)
	if f.truth == isTrue {
		f.evidence = fmt.Sprintf("in %s: %d errors and %d missed of %d packets, %d carrier changes",
			(b.at - a.at).Round(time.Second), bad, missed, packets, flaps)
	}
	if flaps >= 4 {
		f.severity = watchdog.Critical
	}
	return f
}

// linkMemory is what is remembered of a link.
type linkMemory struct {
	errors  errorWindow
	carried bool // it was seen with a carrier
	used    bool // it is hardware, or transfers or probes went over it
	there   bool // in this step
}

// findLinks judges errors and carriers of every link.
func (e *Engine) findLinks(fs []finding, s *watchdog.Snapshot) []finding {
	over := linksInUse(s)
	for i := range s.Links {
		l := &s.Links[i]
		m := e.links[l.Name]
		if m == nil {
			m = &linkMemory{}
			e.links[l.Name] = m
		}
		m.there = true
		m.carried = m.carried || l.Carrier
		m.used = m.used || l.Kind == "device" || slices.Contains(over, l.Index)
		m.errors.add(sampleErrors(l, s.Mono))
		fs = append(fs, m.errors.finding(l.Name), m.findCarrier(l))
	}
	return e.findVanished(fs, s)
}

// linksInUse are the links that probes or transfers go over, by ifindex.
func linksInUse(s *watchdog.Snapshot) []int {
	var over []int
	note := func(link int) {
		if !slices.Contains(over, link) {
			over = append(over, link)
		}
	}
	for i := range s.Paths {
		note(s.Paths[i].Link)
	}
	for i := range s.Transfers {
		note(s.Transfers[i].Link)
	}
	return over
}

// findCarrier reports a link that is up by configuration and had a carrier.
func (m *linkMemory) findCarrier(l *watchdog.Link) finding {
	f := finding{watchdog.LinkDown, watchdog.LinkSubject(l.Name), known(l.Up && !l.Carrier && m.carried), watchdog.Critical, ""}
	if f.truth == isTrue {
		f.evidence = fmt.Sprintf("no carrier, %d carrier changes", l.CarrierChanges)
	}
	return f
}

// findVanished reports a link that is gone. Virtual links come and go with
// containers: their end is nobody's alarm unless it was used.
func (e *Engine) findVanished(fs []finding, s *watchdog.Snapshot) []finding {
	gone := isTrue
	if s.Blind(watchdog.ProbeNIC) {
		gone = unknown
	}
	for name, m := range e.links {
		switch {
		case m.there:
			m.there = false
			continue
		case m.used && m.carried:
			fs = append(fs, finding{watchdog.LinkDown, watchdog.LinkSubject(name), gone, watchdog.Critical, "the link is gone"})
		case !m.used && gone == isTrue:
			delete(e.links, name)
		}
		m.errors = errorWindow{} // what comes under its name is another
	}
	return fs
}
