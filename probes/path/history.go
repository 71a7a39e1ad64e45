package path

import (
	"math"
	"slices"
	"time"
)

const (
	mostAnswers   = 10                     // of which the median is taken
	answerSpan    = 250 * time.Millisecond // sent before the newest by at most this
	fewestAnswers = 3                      // that are taken although they are older, up to
	fewestSpan    = 1200 * time.Millisecond
	patience      = 2 * time.Second        // unanswered for longer is silence, not delay
	lateness      = 100 * time.Millisecond // least age at which an overtaken request is lost
	maxPending    = 64
	maxOutcomes   = 100
	lossSpan      = 30 * time.Second
)

// requestID names a request; no two have the same.
type requestID uint64

type request struct {
	id     requestID
	sent   time.Duration
	failed bool // could not be sent, and will not be answered
}

type answer struct{ sent, rtt time.Duration }

type outcome struct {
	at   time.Duration
	lost bool
}

// history is what was asked of one target and what it answered. Times are
// monotonic.
type history struct {
	pending  []request // neither answered nor given up, oldest first
	answers  []answer  // the last ones, oldest first
	outcomes []outcome // answered or lost, oldest first
	heard    bool      // it answered at least once
	last     time.Duration
	newest   time.Duration // when the newest answered request was sent
	silent   int           // requests after that one that are unanswered
	since    time.Duration // when the first of them was sent
}

func (h *history) sent(id requestID, now time.Duration, failed bool) {
	if h.silent == 0 {
		h.since = now
	}
	h.silent++
	if len(h.pending) >= maxPending {
		h.pending = slices.Delete(h.pending, 0, 1)
	}
	h.pending = append(h.pending, request{id: id, sent: now, failed: failed})
}

// answered takes a reply and gives its RTT; false when nothing waited for it.
func (h *history) answered(id requestID, now time.Duration) (time.Duration, bool) {
	i := slices.IndexFunc(h.pending, func(r request) bool { return r.id == id })
	if i < 0 {
		return 0, false
	}
	r := h.pending[i]
	if h.heard {
		h.pending = slices.Delete(h.pending, i, i+1)
	} else { // what came before the first answer met nobody, and is not lost
		h.pending = slices.Delete(h.pending, 0, i+1)
	}
	a := answer{sent: r.sent, rtt: now - r.sent}
	if len(h.answers) >= mostAnswers {
		h.answers = slices.Delete(h.answers, 0, 1)
	}
	h.answers = append(h.answers, a)
	h.heard, h.last, h.newest = true, now, max(h.newest, r.sent)
	h.record(outcome{at: now})
	h.recount()
	return a.rtt, true
}

// forget drops the requests under way, unless they were late already: what is
// heard of them tells nothing.
func (h *history) forget(now time.Duration) {
	limit := h.late()
	h.pending = slices.DeleteFunc(h.pending, func(r request) bool {
		return !r.failed && now-r.sent <= limit
	})
	h.recount()
}

// giveUpOvertaken gives up the requests that a later one has overtaken and that are
// older than any answer took.
func (h *history) giveUpOvertaken(now time.Duration) {
	limit := h.late()
	h.pending = slices.DeleteFunc(h.pending, func(r request) bool {
		if r.sent >= h.newest || !h.heard || now-r.sent <= limit {
			return false
		}
		if !r.failed {
			h.record(outcome{at: now, lost: true})
		}
		return true
	})
}

func (h *history) record(o outcome) {
	if len(h.outcomes) >= maxOutcomes {
		h.outcomes = slices.Delete(h.outcomes, 0, 1)
	}
	h.outcomes = append(h.outcomes, o)
}

// recount finds the unanswered requests after the newest answered one.
func (h *history) recount() {
	h.silent = 0
	for _, r := range h.pending {
		if h.heard && r.sent <= h.newest {
			continue
		}
		if h.silent == 0 {
			h.since = r.sent
		}
		h.silent++
	}
}

// slowest is the largest RTT of the last answers.
func (h *history) slowest() time.Duration {
	var slowest time.Duration
	for _, a := range h.answers {
		slowest = max(slowest, a.rtt)
	}
	return slowest
}

// late is the age from which an unanswered request is overdue.
func (h *history) late() time.Duration { return max(lateness, 2*h.slowest()) }

// overdue tells whether a request waits for longer than answers usually take.
func (h *history) overdue(now time.Duration) bool {
	return h.silent > 0 && now-h.since > h.late()
}

// silence is for how long requests have gone unanswered; one is nothing.
func (h *history) silence(now time.Duration) time.Duration {
	if h.silent < 2 || now-h.since <= patience {
		return 0
	}
	return now - h.since
}

// rtt is the median of the last answers to what was sent from a time on.
// Requests that wait for longer than that count with their age, because it is
// at least that: so a queue that builds up is seen before the answers have
// come through it. A single one counts for nothing (it may be lost), nor does
// what is older than patience.
func (h *history) rtt(now, from time.Duration) (time.Duration, bool) {
	var buf [mostAnswers]time.Duration
	values := buf[:0]
	for i, a := range h.answers {
		few := i >= len(h.answers)-fewestAnswers && h.newest-a.sent <= fewestSpan
		if a.sent >= from && (few || h.newest-a.sent <= answerSpan) {
			values = append(values, a.rtt)
		}
	}
	if len(values) == 0 {
		return 0, false
	}
	known := median(values)
	waiting := h.waiting(now, known)
	if len(waiting) < 2 {
		return known, true
	}
	values = values[:0]
	for _, a := range h.answers {
		if now-a.sent <= answerSpan+known {
			values = append(values, a.rtt)
		}
	}
	values = append(values, waiting...)
	return max(known, median(values[max(0, len(values)-mostAnswers):])), true
}

// newestAnswers are what counts as recent, if they are not further apart than
// newestSpan.
const (
	newestAnswers = 3
	newestSpan    = 600 * time.Millisecond
)

// recent is the median of the newest answers alone, where two requests that
// wait for longer count with their age, how old that is, and how old the
// median of all is. It is 0 without two answers in short order.
func (h *history) recent(now time.Duration) (rtt, rttLag, lag time.Duration) {
	var buf [2 * newestAnswers]time.Duration
	values := buf[:0]
	oldest, first := h.newest, h.newest
	for i, a := range h.answers {
		if h.newest-a.sent <= answerSpan {
			oldest = min(oldest, a.sent)
		}
		if i >= len(h.answers)-newestAnswers && now-a.sent <= newestSpan+a.rtt {
			values = append(values, a.rtt)
			first = min(first, a.sent)
		}
	}
	lag, rttLag = max(0, now-(h.newest+oldest)/2), max(0, now-(h.newest+first)/2)
	if len(values) > 0 {
		if waiting := h.waiting(now, slices.Max(values)); len(waiting) >= 2 {
			values = append(values, waiting[:min(len(waiting), newestAnswers)]...)
		}
	}
	if len(values) < 2 {
		return 0, 0, lag
	}
	return median(values), rttLag, lag
}

// waiting are the ages of the requests after the newest answered one, where
// they exceed least.
func (h *history) waiting(now, least time.Duration) []time.Duration {
	var ages []time.Duration
	for _, r := range h.pending {
		if age := now - r.sent; !r.failed && r.sent > h.newest && age > least && age <= patience {
			ages = append(ages, age)
		}
	}
	return ages
}

// median sorts values, of which there is at least one. Of an even number it is
// the lower of the middle two: no delay is made up.
func median(values []time.Duration) time.Duration {
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// loss is the ratio of lost requests to those whose fate is known, over the
// last while; NaN when there is none. What a target that answered before leaves
// unanswered for longer than patience is lost, though no later answer says so.
func (h *history) loss(now time.Duration) float64 {
	lost := h.givenUp(now)
	all := lost
	for _, o := range h.outcomes {
		if now-o.at > lossSpan {
			continue
		}
		all++
		if o.lost {
			lost++
		}
	}
	if all == 0 {
		return math.NaN()
	}
	return float64(lost) / float64(all)
}

// givenUp counts the requests of the last while for which no answer is awaited
// any more. A target that never answered may not be there, or not answer pings:
// that is no loss.
func (h *history) givenUp(now time.Duration) (n int) {
	if !h.heard {
		return 0
	}
	for _, r := range h.pending {
		if age := now - r.sent; !r.failed && age > patience && age <= lossSpan+patience {
			n++
		}
	}
	return n
}
