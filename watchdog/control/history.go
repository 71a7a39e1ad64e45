package control

// meter holds smoothed rates in bytes/s.
type meter struct {
	known                          bool
	fast, mean, ours, others, peak float64
	bytes                          float64 // that passed since the start, by the rates
	arrived                        float64 // bytes of the transfers that arrived since the start, by their own count
}

// moment is one step's record.
type moment struct{ at, bytes, ours, budget, fresh float64 }

// look is what had arrived when the transfers were last measured.
type look struct{ at, arrived float64 }

// history is the last steps and measurements, newest last, in rings.
type history struct {
	ring   [128]moment
	n      int // written ever
	looks  [128]look
	looked int // written ever
}

func (h *history) add(m moment) {
	h.ring[h.n%len(h.ring)] = m
	h.n++
}

func (h *history) clear() { h.n, h.looked = 0, 0 }

// look notes what has arrived by now, when the transfers were measured: that
// may be more seldom than every step, and a step without it is no news.
func (h *history) look(at, arrived float64) {
	if h.looked > 0 && h.looks[(h.looked-1)%len(h.looks)].arrived == arrived {
		return
	}
	h.looks[h.looked%len(h.looks)] = look{at, arrived}
	h.looked++
}

// arrivals is the highest rate in bytes/s between two measurements that are at
// least over seconds apart, the later one not before since; 0 without any.
func (h *history) arrivals(since, over float64) float64 {
	best := 0.0
	oldest := max(0, h.looked-len(h.looks))
	for j := h.looked - 1; j > oldest; j-- {
		end := h.looks[j%len(h.looks)]
		if end.at < since {
			break
		}
		for i := j - 1; i >= oldest; i-- {
			begin := h.looks[i%len(h.looks)]
			if end.at-begin.at < over {
				continue
			}
			if end.at-begin.at < 2*over+longestLook {
				best = max(best, (end.arrived-begin.arrived)/(end.at-begin.at))
			}
			break
		}
	}
	return best
}

// longestLook is the time in seconds between two measurements of old transfers.
const longestLook = 0.25

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
