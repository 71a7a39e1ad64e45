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
	rtt       float64
	busy      bool // the limits are what holds the transfers
}

// sense turns an Input into a signal.
func (c *Controller) sense(in *Input) signal {
	s := signal{now: seconds(in.Now), dt: c.dt}
	s.base = clamp(seconds(in.Delay.Base), 0, 2)
	paid, rtts := 0.0, 0.0
	for i := range c.members {
		m := &c.members[i]
		if m.state.paused {
			continue
		}
		s.running++
		if m.flow.Limitable {
			s.reachable++
			paid += m.flow.Rate
			rtts += pathRTT(m.flow, s.base)
		}
	}
	s.rtt = s.base
	if s.reachable > 0 {
		s.rtt = max(s.base, rtts/float64(s.reachable))
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
		*m = meter{known: true, fast: rate, bytes: m.bytes, others: m.others, peak: m.peak}
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

// senseDelay removes from the delay what was found not to be ours.
func (c *Controller) senseDelay(in *Input, s *signal) {
	d := &c.delay
	s.sees, s.passive = in.Delay.Known, in.Delay.Passive
	lag := d.age(in, s)
	s.loop = lag + s.rtt
	if !s.sees {
		return
	}
	d.seen, d.ever = s.now, true
	if math.Abs(s.base-d.base) > 1e-3 {
		d.foreign = max(0, d.foreign-(s.base-d.base))
		d.base = s.base
	}
	s.raw = seconds(in.Delay.Queue)
	s.recent = s.raw
	if in.Delay.RecentKnown {
		s.recent = seconds(in.Delay.Recent)
		lag = min(lag, 0.05)
	}
	s.loop = lag + s.rtt + s.recent
	if len(c.members) > 0 {
		d.relent(s)
	}
	s.queue = max(0, s.raw-d.foreign-noiseMargin*d.noise)
	s.fresh = max(0, s.recent-d.foreign-noiseMargin*d.noiseRecent)
	if s.passive { // the transfers' own RTT knows delayed acknowledgements too
		s.queue, s.fresh = max(0, s.queue-c.target), max(0, s.fresh-c.target)
	}
}

// relent forgets foreign delay and noise that are no longer there: at once when
// the delay is clearly shorter, else by its mean over half a minute.
func (d *delay) relent(s *signal) {
	w := blend(s.dt, 30)
	d.mean += (s.raw - d.mean) * w
	d.swing += (math.Abs(s.raw-d.mean) - d.swing) * w
	if s.raw < d.foreign-2*d.noise-1e-3 {
		d.foreign += (s.raw - d.foreign) * blend(s.dt, 0.5)
		d.mean = d.foreign
	}
	d.foreign = min(d.foreign, d.mean)
	if d.swing < d.noise {
		d.noiseRecent *= d.swing / d.noise
		d.noise = d.swing
	}
}

// age is how old the delay is in seconds: as told, else judged by how often it
// changes, since the median of a few probes changes with nearly each of them.
func (d *delay) age(in *Input, s *signal) float64 {
	if l := seconds(in.Delay.Lag); l > 0 {
		return clamp(l, leastLag, 2)
	}
	if q := in.Delay.Queue; q != d.queue {
		d.every += (min(s.now-d.changed, 1) - d.every) / 2
		d.queue, d.changed = q, s.now
	}
	return clamp(1.2*max(d.every, s.now-d.changed), guessLeast, guessMost)
}

// Bounds of the age of a delay in seconds, where it is told and where not.
const (
	leastLag   = 0.05
	guessLeast = 0.15
	guessMost  = 0.5
)

// noiseMargin is how many deviations of the noise a delay must exceed to count.
const noiseMargin = 1.5

// innocent learns the delay and its noise from samples taken while no queue can
// be ours.
func (d *delay) innocent(s *signal, tau, most float64) {
	w := blend(s.dt, tau)
	d.foreign += (min(s.raw, most) - d.foreign) * w
	d.noise += (min(math.Abs(s.raw-d.foreign), most) - d.noise) * w
	d.noiseRecent += (min(math.Abs(s.recent-d.foreign), most) - d.noiseRecent) * w
	d.mean, d.swing = d.foreign, d.noise
}

// meter holds smoothed rates in bytes/s.
type meter struct {
	known                          bool
	fast, mean, ours, others, peak float64
	bytes                          float64 // that passed since the start, by the rates
}

// delay remembers what is known of the path.
type delay struct {
	base    float64 // s, as it was last told
	foreign float64 // s of delay that did not react when we gave way
	seen    float64 // when a delay was last known
	ever    bool

	queue   time.Duration // as it was told last
	changed float64       // when that changed
	every   float64       // s between changes

	noise, noiseRecent float64 // s, mean deviation of delay without a queue of ours
	mean, swing        float64 // s, of the delay as it is, and its deviation, over half a minute
}

// moment is one step's record.
type moment struct{ at, bytes, ours, budget, fresh float64 }

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
