package control

import (
	"math"
	"time"
)

// wire is the bytes on a link per byte of TCP payload at an MTU of 1500: a
// frame of 1514 bytes carries 1448.
const wire = 1.045

// signal is what one step knows, with gaps and nonsense removed. Times are
// seconds, rates bytes/s, and both are of this direction.
type signal struct {
	now, dt float64

	rateKnown bool
	rate      float64 // the link, all traffic, smoothed over about 80 ms
	ours      float64 // its part that our limits reach
	others    float64 // its part that they do not
	paid      float64 // as ours, by the transfers' own rates over the last second
	peak      float64 // the highest ours of the last seconds

	sees    bool    // queue means something
	passive bool    // and comes from the transfers' own TCP
	raw     float64 // queueing delay as it was measured
	recent  float64 // as raw, by the newest probes
	queue   float64 // the part of raw that may be ours
	fresh   float64 // the part of recent that may be ours
	base    float64 // RTT of the empty path
	loop    float64 // time from a change of limits until queue shows it

	running   int // transfers that are not paused
	reachable int // of these, the ones that limits reach
	loose     int // of these, the ones on which what was decided is not in force
	rtt       float64
	busy      bool // the limits are what holds the transfers
}

// sense turns an Input into a signal.
func (c *Controller) sense(in *Input) signal {
	s := signal{now: seconds(in.Now), dt: c.dt}
	s.base = clamp(seconds(in.Delay.Base), 0, 2)
	paid, rtts, awake := 0.0, 0.0, 0
	for i := range c.members {
		m := &c.members[i]
		if m.flow.Limitable {
			paid += m.flow.Rate // also of one that was paused within the last second
		}
		if m.state.paused {
			continue
		}
		s.running++
		if m.flow.Limitable {
			s.reachable++
			if m.flow.Loose {
				s.loose++
			}
			if !c.sleeps(m) { // its RTT is an old one
				rtts += pathRTT(m.flow, s.base)
				awake++
			}
		}
	}
	s.rtt = s.base
	if awake > 0 {
		s.rtt = max(s.base, rtts/float64(awake))
	}
	s.paid = paid * wire
	c.senseRate(in, &s, s.paid)
	c.senseDelay(in, &s)
	s.busy = s.ours > 0.85*c.budget.rate
	return s
}

// senseRate splits the link's rate into ours and others'. The transfers' own
// rates are means over a second, so the split compares them with the link's
// mean over a second and assumes that the others change slowly.
func (c *Controller) senseRate(in *Input, s *signal, paid float64) {
	m := &c.meter
	s.rateKnown = in.RateKnown
	if !s.rateKnown {
		m.known = false
		s.rate, s.ours, s.others, s.peak = m.fast, m.ours, m.others, m.peak
		return
	}
	rate := in.Rate
	if !m.known {
		*m = meter{known: true, fast: rate, bytes: m.bytes, arrived: m.arrived, others: m.others, peak: m.peak}
	}
	m.fast += (rate - m.fast) * blend(s.dt, 0.08)
	m.bytes += rate * s.dt
	m.mean = c.history.meanRate(s.now, m.bytes, rate)
	others := m.mean - paid
	if others < 0.1*m.mean {
		others = 0
	}
	if others < m.others || s.now-c.newest > 1.5 { // new ones have no rate yet
		m.others += (others - m.others) * blend(s.dt, 0.5)
	}
	m.ours = max(0, m.fast-m.others)
	m.peak = max(m.ours, m.peak*math.Exp(-s.dt/3))
	s.rate, s.ours, s.others, s.peak = m.fast, m.ours, m.others, m.peak
}

// pathRTT is the RTT of a transfer's empty path in seconds.
func pathRTT(f *Flow, base float64) float64 {
	if r := seconds(f.MinRTT); r > 0 {
		return min(r, 1)
	}
	if base > 0 {
		return base
	}
	return 1e-3
}

// blend is the weight of a new sample after dt in a mean with time constant tau.
func blend(dt, tau float64) float64 { return 1 - math.Exp(-dt/tau) }

func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }
