package control

import (
	"math/rand/v2"
	"slices"
	"time"
)

// prober asks a management host for its RTT as the daemon does: seldom while
// nothing happens, closely while transfers have just begun or a queue was just
// seen. It tells the median of the newest answers.
type prober struct {
	every  float64 // s between requests, if fixed
	close  float64 // the same while limits move, else 0
	recent bool    // it tells the newest answers apart and how old its median is

	rng     *rand.Rand
	noise   float64 // s, mean of the jitter
	pending []reply
	answers []reply
	sent    float64
	active  bool
	high    bool
	sprint  float64 // start of the last close look
}

type reply struct{ at, rtt float64 }

// interval is the time in seconds between two requests.
func (p *prober) interval(now float64) float64 {
	switch {
	case p.every > 0:
		return p.every
	case !p.active:
		return 1
	case p.close > 0:
		return p.close
	case now-p.sprint < 3:
		return 0.05
	case p.high:
		return 0.1
	}
	return 0.2
}

// step sends what is due over a path of that RTT and takes what came back.
func (p *prober) step(now, rtt float64, active bool) {
	if active && !p.active {
		p.sprint = now
	}
	p.active = active
	if now-p.sent >= p.interval(now) {
		p.sent = now
		p.pending = append(p.pending, reply{now, rtt + p.rng.ExpFloat64()*p.noise})
	}
	for len(p.pending) > 0 && now >= p.pending[0].at+p.pending[0].rtt {
		p.answers = append(p.answers, p.pending[0])
		p.pending = p.pending[1:]
		if len(p.answers) > 10 {
			p.answers = p.answers[1:]
		}
	}
}

// delay is what the daemon hands to the controller, for a base RTT.
func (p *prober) delay(now, base float64) Delay {
	if len(p.answers) == 0 {
		return Delay{}
	}
	newest := p.answers[len(p.answers)-1].at
	var v []float64
	for i, s := range p.answers {
		if newest-s.at <= 0.25 || i >= len(p.answers)-3 && newest-s.at <= 1.2 {
			v = append(v, s.rtt)
		}
	}
	span := newest - p.answers[len(p.answers)-len(v)].at
	fresh := slices.Clone(v[max(0, len(v)-3):])
	rtt := median(slices.Clone(v))
	var ages []float64
	for _, s := range p.pending {
		if age := now - s.at; age > rtt {
			ages = append(ages, age)
		}
	}
	if len(ages) >= 2 {
		v = append(v, ages...)
		rtt = max(rtt, median(v[max(0, len(v)-10):]))
	}
	d := Delay{Known: true, Queue: span2(rtt - base), Base: span2(base)}
	if p.recent {
		d.Recent, d.RecentKnown, d.Lag = span2(median(fresh)-base), true, span2(span/2)
		d.RecentLag = span2((newest - p.answers[len(p.answers)-len(fresh)].at) / 2)
	}
	return d
}

// look starts a close look when a queue shows, not too often.
func (p *prober) look(now float64, queue time.Duration) {
	high := queue >= 2*time.Millisecond
	if high && now-p.sprint >= 15 {
		p.sprint = now
	}
	p.high = high
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[(len(v)-1)/2]
}

func span2(s float64) time.Duration { return time.Duration(max(0, s) * 1e9) }
