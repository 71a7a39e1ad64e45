package lab

import (
	"math"
	"slices"
	"time"
)

// Sample is one echo request and what became of it.
type Sample struct {
	At   time.Duration // when it was sent, since the series began
	RTT  time.Duration // meaningless if Lost
	Lost bool
}

// Series is what a pinger saw, in the order of sending.
type Series []Sample

// Never is the round-trip time of a lost sample wherever samples are ranked.
const Never = time.Duration(math.MaxInt64)

// Between returns the samples sent at from or later and before to.
func (s Series) Between(from, to time.Duration) Series {
	var in Series
	for _, v := range s {
		if v.At >= from && v.At < to {
			in = append(in, v)
		}
	}
	return in
}

// answered returns the sorted round-trip times of the answered samples.
func (s Series) answered() []time.Duration {
	var rtt []time.Duration
	for _, v := range s {
		if !v.Lost {
			rtt = append(rtt, v.RTT)
		}
	}
	slices.Sort(rtt)
	return rtt
}

// Percentile returns the nearest-rank percentile p (0..100) of the answered
// samples, or Never if none was answered. Loss tells about the others.
func (s Series) Percentile(p float64) time.Duration {
	rtt := s.answered()
	if len(rtt) == 0 {
		return Never
	}
	rank := int(math.Ceil(p / 100 * float64(len(rtt))))
	return rtt[min(max(rank, 1), len(rtt))-1]
}

// Max returns the longest answered round-trip time, or Never if there is none.
func (s Series) Max() time.Duration { return s.Percentile(100) }

// Loss returns the ratio (0..1) of lost samples; NaN if nothing was sent.
func (s Series) Loss() float64 {
	lost := 0
	for _, v := range s {
		if v.Lost {
			lost++
		}
	}
	return float64(lost) / float64(len(s))
}

// Window is a span of a series and its median round-trip time, for which a
// lost sample counts as Never.
type Window struct {
	At     time.Duration // begin, since the series began
	Median time.Duration
}

// Medians cuts the series into windows of the given length beginning at from.
// The last window may be cut short by the end of the series; one without any
// sample is left out.
func (s Series) Medians(from, length time.Duration) []Window {
	var out []Window
	var rtt []time.Duration
	at := from
	flush := func() {
		if len(rtt) > 0 {
			slices.Sort(rtt)
			out = append(out, Window{at, rtt[len(rtt)/2]})
		}
		rtt = rtt[:0]
	}
	for _, v := range s.Between(from, Never) {
		for v.At >= at+length {
			flush()
			at += length
		}
		if v.Lost {
			v.RTT = Never
		}
		rtt = append(rtt, v.RTT)
	}
	flush()
	return out
}

// CalmWindow is the span whose median TimeToCalm judges.
const CalmWindow = 500 * time.Millisecond

// TimeToCalm returns how long after start (since the series began) every
// following 500 ms window had a median below the threshold. It is 0 if no
// window was above it, and not ok if the last one still was or if nothing was
// sampled.
func (s Series) TimeToCalm(start, threshold time.Duration) (calm time.Duration, ok bool) {
	windows := s.Medians(start, CalmWindow)
	for _, w := range windows {
		if ok = w.Median < threshold; !ok {
			calm = w.At + CalmWindow - start
		}
	}
	return calm, ok
}

// Above returns the samples sent at from or later that took as long as limit or
// longer, or were lost.
func (s Series) Above(from, limit time.Duration) Series {
	var out Series
	for _, v := range s.Between(from, Never) {
		if v.Lost || v.RTT >= limit {
			out = append(out, v)
		}
	}
	return out
}

// CalmForGood returns how long after start (since the series began) the first
// request was sent from which on every single one was answered in less than
// limit. It is 0 if none since start took longer, and not ok if the last one did
// or was lost, or if nothing was sampled.
func (s Series) CalmForGood(start, limit time.Duration) (calm time.Duration, ok bool) {
	for _, v := range s.Between(start, Never) {
		switch bad := v.Lost || v.RTT >= limit; {
		case bad:
			ok, calm = false, -1
		case calm < 0:
			ok, calm = true, v.At-start
		default:
			ok = true
		}
	}
	return max(calm, 0), ok
}
