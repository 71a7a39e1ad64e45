package control

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// result is what a run showed, from calmFrom on unless it says otherwise.
type result struct {
	p50, p99, peak float64 // s of queue; peak of the whole run
	calm           float64 // s until every later 500 ms window has a median below 10 ms
	use            float64 // part of the capacity that rsync had
	all            float64 // part of the capacity in use
	lost           float64 // part of bytes lost
	pauses         int     // pauses and resumes
	phases         int     // changes of phase
	minShare       float64 // smallest goodput of a transfer over the mean
}

func (r result) String() string {
	return fmt.Sprintf("queue p50 %.2f p99 %.2f peak %.1f ms, calm after %.2f s, rsync %.1f %% of capacity (all %.1f), lost %.3f %%, %d pauses/resumes, %d phase changes, least share %.2f",
		r.p50/ms, r.p99/ms, r.peak/ms, r.calm, 100*r.use, 100*r.all, 100*r.lost, r.pauses, r.phases, r.minShare)
}

// most is what a run may show at most, and of use at least; 0 is anything.
type most struct{ p50, p99, peak, calm, use float64 }

// within runs the world and holds the result against what is wanted.
func (w *world) within(t *testing.T, m most) result {
	t.Helper()
	r := w.run(t)
	r.hold(t, m)
	return r
}

// seeds is how many sequences of random numbers usually tries.
const seeds = 5

// usually runs a scene with several sequences of random numbers, where one alone
// would be luck, and holds the median of each figure against what is wanted.
func usually(t *testing.T, m most, scene func() *world) {
	t.Helper()
	var rs []result
	for n := range uint64(seeds) {
		w := scene()
		w.seed = n
		rs = append(rs, w.run(t))
	}
	mid := func(of func(result) float64) float64 {
		var v []float64
		for _, r := range rs {
			v = append(v, of(r))
		}
		return median(v)
	}
	result{
		p50: mid(func(r result) float64 { return r.p50 }), p99: mid(func(r result) float64 { return r.p99 }),
		peak: mid(func(r result) float64 { return r.peak }), calm: mid(func(r result) float64 { return r.calm }),
		use: mid(func(r result) float64 { return r.use }),
	}.hold(t, m)
}

// hold tells what is not as it is wanted.
func (r result) hold(t *testing.T, m most) {
	t.Helper()
	for _, x := range []struct {
		name      string
		is, limit float64
	}{
		{"median queue", r.p50, m.p50}, {"queue p99", r.p99, m.p99}, {"peak queue", r.peak, m.peak}, {"time to calm", r.calm, m.calm},
	} {
		if x.limit > 0 && x.is > x.limit {
			t.Errorf("%s is %.4g s, want at most %.4g s", x.name, x.is, x.limit)
		}
	}
	if r.use < m.use {
		t.Errorf("rsync had %.1f %% of the capacity, want at least %.1f %%", 100*r.use, 100*m.use)
	}
}

// sum makes the figures.
func (w *world) sum() {
	r := &w.result
	var q []float64
	for i, d := range w.series {
		r.peak = max(r.peak, d)
		if w.stamps[i] >= w.calmFrom {
			q = append(q, d)
		}
	}
	slices.Sort(q)
	r.p50, r.p99 = q[len(q)/2], q[len(q)*99/100]
	r.calm = w.calmAfter()
	span := w.length - w.calmFrom
	sum, total, least, n := 0.0, 0.0, math.Inf(1), 0.0
	for i, t := range w.transfers {
		if w.goodAt[i] < 0 {
			continue
		}
		good := t.delivered - w.goodAt[i]
		total += good
		if t.kind == constant {
			continue
		}
		if !t.theirs {
			sum += good
			n++
			least = min(least, good)
		}
	}
	r.use, r.all = sum/span/w.capacity, total/span/w.capacity
	r.lost = w.link.lost / max(1, w.ctl.passed)
	r.pauses, r.phases = w.ctl.toggle, w.ctl.phases
	if sum > 0 {
		r.minShare = least / (sum / n)
	}
}

func (w *world) calmAfter() float64 {
	first := math.Inf(1)
	for _, t := range w.transfers {
		if !t.theirs {
			first = min(first, t.born)
		}
	}
	size := int(0.5 / w.dt)
	for end := len(w.series); end-size >= 0; end -= size {
		win := slices.Clone(w.series[end-size : end])
		slices.Sort(win)
		if win[len(win)/2] >= 0.010 {
			return max(0, w.stamps[end-1]-first)
		}
	}
	return 0
}
