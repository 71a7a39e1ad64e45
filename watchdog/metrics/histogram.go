package metrics

import "slices"

// Upper bounds of buckets, in seconds.
var (
	rttBounds     = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	turnBounds    = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	limitBounds   = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	protectBounds = []float64{.1, .25, .5, 1, 2, 3, 5, 10, 30, 60}
)

// histogram counts durations in seconds by bucket. It is a plain value, so that
// a scrape reads a copy of it.
type histogram struct {
	bounds []float64 // shared
	counts []uint64  // by bucket, not cumulative; one more than bounds
	sum    float64
}

func newHistogram(bounds []float64) histogram {
	return histogram{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
}

// observe adds a value; a bound belongs to its bucket.
func (h *histogram) observe(v float64) {
	i, _ := slices.BinarySearch(h.bounds, v)
	h.counts[i]++
	h.sum += v
}

func (h histogram) clone() histogram {
	h.counts = slices.Clone(h.counts)
	return h
}

// cumulative gives the count of all and, by upper bound, of those up to it.
func (h histogram) cumulative() (all uint64, by map[float64]uint64) {
	by = make(map[float64]uint64, len(h.bounds))
	for i, n := range h.counts {
		all += n
		if i < len(h.bounds) {
			by[h.bounds[i]] = all
		}
	}
	return all, by
}
