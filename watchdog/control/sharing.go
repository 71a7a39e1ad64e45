package control

import "math"

const (
	// leastDemand is the share in bytes/s below which a second says nothing of what a
	// sender could use: two of the bursts of 64 KB that the kernel sends at once.
	leastDemand = 2 * 64 << 10
	// A share that grew by more than raisedBy has to stand for judgedAfter seconds
	// until the rate, a mean over a second, can be compared with it: whoever uses less
	// than modestBelow of it wants modestWants times what he uses, and whoever uses more
	// than greedyAbove wants all.
	raisedBy    = 1.3
	judgedAfter = 2
	modestBelow = 0.7
	modestWants = 1.3
	modestLeast = 0.1 // of the share
	demandTau   = 1   // s
	greedyAbove = 0.9
	// A transfer whose rate an operator chose takes so many times what it moves off the
	// others, and at least so much of the rate.
	pinnedUses  = 1.2
	pinnedLeast = 8 // one part in
	// The weights of small-first, and how often those are looked for whose share is
	// below their floor, or above their demand.
	weightLeast, weightMost = 0.25, 4
	rounds                  = 6
)

// division is how the budget is shared in one step: max-min fair, by progressive
// filling (Bertsekas and Gallager, Data Networks, 6.5.2). A share below 0 is not decided
// yet.
type division struct {
	m       *model
	l       *law
	left    float64 // bytes/s that are not given yet
	weights float64 // sum of those whose share is not decided
	ref     float64 // bytes, the median of what is left of the transfers; 0 for equal weights
}

// share divides the budget among the transfers that it reaches.
func (m *model) share(l *law, now, dt float64) {
	d := division{m: m, l: l, left: l.rate}
	if m.Share == ShareSmallFirst {
		d.ref = m.flows.medianRemaining()
	}
	entries := m.flows.entries
	for i := range entries {
		d.open(&entries[i], now, dt)
	}
	d.left = max(d.left, 0)
	d.repeat(d.atLeast)
	d.repeat(d.atMost)
	spare := d.spare()
	for i := range entries {
		f := &entries[i]
		if f.share < 0 {
			f.share = d.left * weight(f.flow, d.ref) / d.weights
		} else if f.wantsShare() {
			f.share += spare
		}
		f.recordShare(now)
	}
}

// open decides the shares of those that take no part, and learns the demand of the
// others.
func (d *division) open(f *flowEntry, now, dt float64) {
	f.share = -1
	switch {
	case !f.flow.Limitable || !f.runs():
		f.share = 0
	case f.flow.Pinned.Rate > 0:
		f.share = f.flow.Pinned.Rate
		d.left -= min(f.share, max(f.flow.Rate*pinnedUses, f.share/pinnedLeast))
	case f.idles(d.l.mode):
		f.share = d.m.floorShare(f.flow)
	default:
		d.learnDemand(f, now, dt)
		d.weights += weight(f.flow, d.ref)
	}
}

// repeat decides shares by a rule of what an even one would be, until it decides no
// more.
func (d *division) repeat(rule func(f *flowEntry, even float64) (share float64, decides bool)) {
	for range rounds {
		found := false
		per := d.left / max(d.weights, 1e-9)
		for i := range d.m.flows.entries {
			f := &d.m.flows.entries[i]
			if f.share >= 0 {
				continue
			}
			w := weight(f.flow, d.ref)
			if share, ok := rule(f, per*w); ok {
				f.share = share
				d.left -= share
				d.weights -= w
				found = true
			}
		}
		d.left, d.weights = max(d.left, 0), max(d.weights, 1e-9)
		if !found {
			return
		}
	}
}

// atLeast gives those their floor whose share would be less: they take that much
// anyway, and the others have to do with the rest.
func (d *division) atLeast(f *flowEntry, even float64) (float64, bool) {
	floor := d.m.floorShare(f.flow)
	return floor, !d.l.shaper.stands && floor > even
}

// atMost gives those their demand that want less than their share.
func (d *division) atMost(f *flowEntry, even float64) (float64, bool) {
	return f.rec.demand, f.rec.demand > 0 && f.rec.demand < even
}

// spare is what each of the transfers that seem to want little gets on top, in
// bytes/s, where nobody else is there to take what they leave: what a transfer that
// is paced uses may be what its bursts let it use. Windows know no bursts.
func (d *division) spare() float64 {
	if !d.m.sending() {
		return 0
	}
	modest := 0
	for i := range d.m.flows.entries {
		switch f := &d.m.flows.entries[i]; {
		case f.share < 0:
			return 0
		case f.wantsShare():
			modest++
		}
	}
	return d.left / float64(max(modest, 1))
}

// wantsShare says that the share is what the transfer wants, and no more.
func (f *flowEntry) wantsShare() bool { return f.rec.demand > 0 && f.share == f.rec.demand }

// learnDemand learns what a transfer uses of its share. Its rate is a mean over a
// second, so only a share that has stood for longer can be compared.
func (d *division) learnDemand(f *flowEntry, now, dt float64) {
	r, l := f.rec, d.l
	rate := f.flow.Rate * wire
	switch {
	case l.mode == draining, l.mode == simulating: // says nothing
	case l.mode == openLoop: // what makes it slow may be a queue that nobody sees
		r.demand = 0
	case r.share == 0 || now-r.raised < judgedAfter:
		r.demand = 0
	case rate < modestBelow*r.share:
		if r.demand == 0 {
			r.demand = r.share
		}
		r.demand += (d.wanted(f, rate) - r.demand) * blend(dt, demandTau)
	case rate > greedyAbove*r.share:
		r.demand = 0
	}
}

// wanted is what a transfer that uses less than its share seems to want, in bytes/s.
func (d *division) wanted(f *flowEntry, rate float64) float64 {
	want := max(modestWants*rate, modestLeast*f.rec.share)
	if d.l.windowed(d.m) {
		return max(want, d.m.floorShare(f.flow))
	}
	if d.m.sending() {
		return max(want, leastDemand)
	}
	return want
}

// recordShare remembers the share and when it grew much.
func (f *flowEntry) recordShare(now float64) {
	r := f.rec
	if f.share > raisedBy*r.share || r.paused {
		r.raised = now
	}
	r.share = f.share
}

// weight is a transfer's part in sharing, between 1/4 and 4: with small-first,
// the square root of how much less than the median is left, so that small ones
// end soon and large ones never starve.
func weight(f *Flow, ref float64) float64 {
	if ref <= 0 || f.Remaining < 0 {
		return 1
	}
	return clamp(math.Sqrt(ref/max(float64(f.Remaining), 1)), weightLeast, weightMost)
}
