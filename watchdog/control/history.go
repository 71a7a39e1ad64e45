package control

// meter holds smoothed rates in bytes/s.
type meter struct {
	known                          bool
	fast, mean, ours, others, peak float64
	bytes                          float64 // that passed since the start, by the rates
	arrived                        float64 // bytes of the transfers that arrived since the start, by their own count
}

// moment is one step's record.
type moment struct{ at, bytes, arrived, ours, budget, fresh float64 }

// history is the last steps, newest last, in a ring.
type history struct {
	ring [128]moment
	n    int // written ever
}

func (h *history) add(m moment) {
	h.ring[h.n%len(h.ring)] = m
	h.n++
}

func (h *history) clear() { h.n = 0 }

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
