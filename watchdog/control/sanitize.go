package control

import (
	"math"
	"time"
)

// Bounds of what a measurement can be.
const (
	mostRate = 1e13 // bytes/s
	mostRTT  = 10 * time.Second
)

// clean returns the input with every number made possible: what cannot be is
// taken for unknown. The transfers are copied into the controller's own memory.
func (c *Controller) clean(in Input) Input {
	if bad(in.Rate) || in.Rate < 0 {
		in.RateKnown = false
	}
	for _, x := range []*float64{&in.Rate, &in.Other, &in.Capacity, &in.Learnt, &in.Drops, &in.Delay.Retrans} {
		*x = rate(*x)
	}
	d := &in.Delay
	for _, x := range []*time.Duration{&d.Queue, &d.Base, &d.Recent, &d.RecentLag, &d.Lag, &d.Hint} {
		*x = min(max(*x, 0), mostRTT)
	}
	c.flows = append(c.flows[:0], in.Flows...)
	for i := range c.flows {
		f := &c.flows[i]
		f.Rate, f.Pinned.Rate = rate(f.Rate), rate(f.Pinned.Rate)
		f.RTT, f.MinRTT = min(max(f.RTT, 0), mostRTT), min(max(f.MinRTT, 0), mostRTT)
		f.Inflight = min(max(f.Inflight, 0), 1<<40)
		f.Floor = min(max(f.Floor, 2*1448), mostWindow-1)
	}
	in.Flows = c.flows
	return in
}

// rate is x, or 0 for what no rate can be.
func rate(x float64) float64 {
	if bad(x) || x < 0 {
		return 0
	}
	return min(x, mostRate)
}

func bad(x float64) bool { return math.IsNaN(x) || math.IsInf(x, 0) }

func clamp(x, lo, hi float64) float64 { return min(max(x, lo), hi) }
