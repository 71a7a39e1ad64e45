package control

import "math"

// linkRates is the link's rate and its parts in bytes/s.
type linkRates struct {
	rateKnown bool
	rate      float64 // the link, all traffic, smoothed over about 80 ms
	ours      float64 // its part that our limits reach
	others    float64 // its part that they do not
	peak      float64 // the highest ours of the last seconds
}

// rateEstimator smooths the link's rate and splits it.
type rateEstimator struct {
	known                          bool
	fast, mean, ours, others, peak float64 // bytes/s
	bytes                          float64 // that passed since the start, by the rates
	arrived                        float64 // bytes of the transfers that arrived since the start, by their own count
}

const (
	rateTau     = 0.08 // s, of the link's smoothed rate
	othersTau   = 0.5  // s, of the others' part
	peakTau     = 3.0  // s, in which a peak is forgotten
	othersLeast = 0.1  // of the link: less is measurement error
	ratesAfter  = 1.5  // s, until a new transfer's rate, a mean over a second, is its own
)

// restart begins again after a gap; what it knew of the others stays.
func (r *rateEstimator) restart() {
	*r = rateEstimator{bytes: r.bytes, arrived: r.arrived, others: r.others, peak: r.peak}
}

// observe splits the link's rate into ours and others'. The transfers' own
// rates are means over a second, so the split compares them with the link's
// mean over a second and assumes that the others change slowly.
func (r *rateEstimator) observe(s *sample, h *history, newest float64) {
	if s.rateKnown = s.in.RateKnown; s.rateKnown {
		r.split(s, h, newest)
	} else {
		r.known = false
	}
	s.rate, s.ours, s.others, s.peak = r.fast, r.ours, r.others, r.peak
}

func (r *rateEstimator) split(s *sample, h *history, newest float64) {
	rate := s.in.Rate
	if !r.known {
		r.restart()
		r.known, r.fast = true, rate
	}
	r.fast += (rate - r.fast) * blend(s.dt, rateTau)
	r.bytes += rate * s.dt
	r.mean = h.meanRate(s.now, r.bytes, rate)
	others := r.mean - s.flowRate
	if others < othersLeast*r.mean {
		others = 0
	}
	if others < r.others || s.now-newest > ratesAfter { // new ones have no rate yet
		r.others += (others - r.others) * blend(s.dt, othersTau)
	}
	r.ours = max(0, r.fast-r.others)
	r.peak = max(r.ours, r.peak*math.Exp(-s.dt/peakTau))
}
