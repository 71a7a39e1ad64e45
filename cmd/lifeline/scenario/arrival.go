package scenario

import "time"

// arrival is how much payload has arrived by a moment.
type arrival struct {
	at    time.Time
	bytes float64 // since some moment before
}

// mean is the rate from the first arrival to the last, bits/s; 0 without two.
func mean(a []arrival) float64 {
	if len(a) < 2 {
		return 0
	}
	return rate(a[0], a[len(a)-1])
}

// lowest is the rate of the worst span of the given length, bits/s: from each
// arrival to the first one that is so much later. It is 0 if they do not cover one.
func lowest(a []arrival, span time.Duration) float64 {
	var worst float64
	var found bool
	to := 0
	for from := range a {
		for to < len(a) && a[to].at.Sub(a[from].at) < span {
			to++
		}
		if to == len(a) {
			break
		}
		if r := rate(a[from], a[to]); !found || r < worst {
			worst, found = r, true
		}
	}
	return worst
}

func rate(a, b arrival) float64 {
	return (b.bytes - a.bytes) * 8 / b.at.Sub(a.at).Seconds()
}
