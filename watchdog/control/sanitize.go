package control

import (
	"math"
	"time"
)

// Bounds of what a measurement can be.
const (
	mostRate     = 1e13 // bytes/s
	mostRTT      = 10 * time.Second
	mostInflight = 1 << 40  // bytes
	leastFloor   = 2 * 1448 // bytes: two segments at an MTU of 1500
)

// sanitize makes every number of an input possible: what cannot be is taken for
// unknown. The transfers are copied into memory that is used again with each step.
func sanitize(in Input, memory []Flow) Input {
	if !finite(in.Rate) || in.Rate < 0 {
		in.RateKnown = false
	}
	for _, x := range []*float64{&in.Rate, &in.Other, &in.Capacity, &in.Learnt, &in.Drops, &in.Delay.Retrans} {
		*x = possibleRate(*x)
	}
	d := &in.Delay
	for _, x := range []*time.Duration{&d.Queue, &d.Base, &d.Recent, &d.RecentLag, &d.Lag, &d.Hint} {
		*x = min(max(*x, 0), mostRTT)
	}
	flows := append(memory[:0], in.Flows...)
	for i := range flows {
		f := &flows[i]
		f.Rate, f.Pinned.Rate = possibleRate(f.Rate), possibleRate(f.Pinned.Rate)
		f.RTT, f.MinRTT = min(max(f.RTT, 0), mostRTT), min(max(f.MinRTT, 0), mostRTT)
		f.Inflight = min(max(f.Inflight, 0), mostInflight)
		f.Floor = min(max(f.Floor, leastFloor), mostWindow-1)
	}
	in.Flows = flows
	return in
}

// possibleRate is x, or 0 for what no rate can be.
func possibleRate(x float64) float64 {
	if !finite(x) || x < 0 {
		return 0
	}
	return min(x, mostRate)
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

func clamp(x, lo, hi float64) float64 { return min(max(x, lo), hi) }

// blend is the weight of a new value after dt in an exponentially weighted mean
// with the time constant tau.
func blend(dt, tau float64) float64 { return 1 - math.Exp(-dt/tau) }

func seconds(d time.Duration) float64 { return float64(d) / float64(time.Second) }
