package control

// moment is one step's record.
type moment struct {
	at     float64 // s
	bytes  float64 // of the link that had passed
	budget float64 // bytes/s
	newest float64 // s of queue by the newest probes
}

// arrival is what had arrived when the transfers were last measured.
type arrival struct{ at, bytes float64 }

// history is the last steps and measurements, newest last, in rings.
type history struct {
	ring      [128]moment
	n         int // written ever
	arrivals  [128]arrival
	nArrivals int // written ever
}

const (
	// longestMeasure is the time in seconds between two measurements of old transfers.
	longestMeasure = 0.25
	// What passed is counted over passedOver, in which a burst of acknowledgements is
	// small, and remembered for passedFor, in seconds.
	passedOver = 0.08
	passedFor  = 2.0
)

func (h *history) add(m moment) {
	h.ring[h.n%len(h.ring)] = m
	h.n++
}

func (h *history) clear() { h.n, h.nArrivals = 0, 0 }

// addArrival notes what has arrived by now, when the transfers were measured: that
// may be more seldom than every step, and a step without it is no news.
func (h *history) addArrival(at, bytes float64) {
	if h.nArrivals > 0 && h.arrivals[(h.nArrivals-1)%len(h.arrivals)].bytes == bytes {
		return
	}
	h.arrivals[h.nArrivals%len(h.arrivals)] = arrival{at, bytes}
	h.nArrivals++
}

// fastest is the highest rate in bytes/s between two measurements that are at
// least over seconds apart, the later one not before since; 0 without any.
func (h *history) fastest(since, over float64) float64 {
	best := 0.0
	oldest := max(0, h.nArrivals-len(h.arrivals))
	for j := h.nArrivals - 1; j > oldest; j-- {
		end := h.arrivals[j%len(h.arrivals)]
		if end.at < since {
			break
		}
		for i := j - 1; i >= oldest; i-- {
			begin := h.arrivals[i%len(h.arrivals)]
			if end.at-begin.at < over {
				continue
			}
			if end.at-begin.at < 2*over+longestMeasure {
				best = max(best, (end.bytes-begin.bytes)/(end.at-begin.at))
			}
			break
		}
	}
	return best
}

// passed is the most in bytes/s that the link was seen to pass of ours in the
// last seconds: at least so much it bears. 0 when nothing was seen.
func (h *history) passed(now float64) float64 {
	return h.fastest(now-passedFor, passedOver) * wire
}

// at is the newest record that is not younger than t, or the oldest one.
func (h *history) at(t float64) (moment, bool) {
	var m moment
	oldest := max(0, h.n-len(h.ring))
	for i := h.n - 1; i >= oldest; i-- {
		m = h.ring[i%len(h.ring)]
		if m.at <= t {
			break
		}
	}
	return m, h.n > 0
}

// meanRate is the mean of the link's rate over the last second, or def without
// records; bytes is what has passed by now.
func (h *history) meanRate(now, bytes, def float64) float64 {
	past, ok := h.at(now - 1)
	if !ok || now <= past.at {
		return def
	}
	return (bytes - past.bytes) / (now - past.at)
}
