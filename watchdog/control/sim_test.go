package control

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
)

const (
	mbit = 1e6 / 8
	gbit = 1e9 / 8
	ms   = 1e-3
)

// world is a bottleneck with a FIFO, transfers over it, probes through it and
// the controllers that hold it.
type world struct {
	set       Settings
	capacity  float64 // bytes/s
	buffer    float64 // bytes of the bottleneck's FIFO
	rtt       float64 // s, of the probes' empty path
	noise     float64 // s, mean of the probes' jitter
	probe     prober
	upstream  bool    // sending: the bottleneck is behind our NIC, which counts what it cannot carry
	shaper    bool    // one can be had
	known     float64 // configured capacity
	learnt    float64
	noDelay   bool
	asleep    float64 // s until the controller starts
	transfers []*transfer
	length    float64                      // s
	calmFrom  float64                      // s, start of the figures
	other     func(now float64) float64    // bytes/s in the other direction
	foreign   func(now float64) float64    // s of delay that is not of this link
	route     func(now float64) float64    // s that the path became longer
	speed     func(now float64) float64    // capacity over time, for links that change
	reach     func(w *world) Reach         // of management
	far       *Settings                    // a Lifeline at the other end
	input     func(now float64, in *Input) // a last word on each input
	each      func(now float64, o Output)  // sees each decision

	bufs   [4][]float64
	rng    *rand.Rand
	dt     float64
	link   *fifo
	own    *fifo
	ctl    *end
	farCtl *end
	seed   uint64 // of the random numbers
	result result
	series []float64 // s of queue, each ms or step
	stamps []float64
	goodAt []float64
}

// lab is the bottleneck of the incident: 100 Mbit/s, 2 MB FIFO, RTT 0.2 ms.
func lab(dir Direction) *world {
	return &world{
		set: Settings{Direction: dir, Pause: true}, capacity: 100 * mbit, buffer: 2e6, rtt: 0.2 * ms,
		noise: 0.05 * ms, probe: prober{sent: -1, sprint: -100}, upstream: true, length: 20, calmFrom: 3,
	}
}

// with adds n endless transfers that begin at once.
func (w *world) with(n int, kind sender) *world {
	for i := range n {
		w.transfers = append(w.transfers, &transfer{id: fmt.Sprint(kind, "-", len(w.transfers)), kind: kind, rtt: w.rtt, floor: 2 * 1448, born: 0.5 + 0.001*float64(i)})
	}
	return w
}

func (w *world) run(tb testing.TB) result {
	tb.Helper()
	w.setUp()
	for now := 0.0; now < w.length; now += w.dt {
		w.step(now)
	}
	w.sum()
	tb.Logf("%v", w.result)
	return w.result
}

func (w *world) setUp() {
	w.rng = rand.New(rand.NewPCG(1+w.seed, uint64(len(w.transfers))))
	w.probe.rng, w.probe.noise = w.rng, w.noise
	w.dt = clamp(w.rtt/2, 0.25*ms, 1*ms)
	if len(w.transfers) > 32 {
		w.dt = clamp(w.rtt/2, 0.5*ms, 1*ms)
	}
	w.link = newFIFO(w.capacity, w.buffer, len(w.transfers))
	w.own = newFIFO(w.capacity, 64e6, len(w.transfers))
	w.ctl = newEnd(w.set)
	if w.far != nil {
		w.farCtl = newEnd(*w.far)
	}
}

// zero gives a cleared buffer of n numbers, the same each time.
func zero(b *[]float64, n int) []float64 {
	if cap(*b) < n {
		*b = make([]float64, n)
	}
	*b = (*b)[:n]
	clear(*b)
	return *b
}

// step moves everything by dt: senders, our own shaper, the bottleneck,
// receivers, probes and controllers.
func (w *world) step(now float64) {
	n := len(w.transfers)
	in, out, lost, own := zero(&w.bufs[0], n), zero(&w.bufs[1], n), zero(&w.bufs[2], n), zero(&w.bufs[3], n)
	w.births(now)
	if w.speed != nil {
		w.link.rate = w.speed(now)
	}
	shaping := w.ctl.shaped > 0 && now-w.ctl.shaped > 0.05 && w.ctl.out.Shaper > 0
	if shaping {
		if r := w.ctl.out.Shaper; math.Abs(r-w.own.rate) > 0.01*w.own.rate {
			w.own.rate = r
		}
	} else {
		w.own.rate = 1e12
	}
	for i, t := range w.transfers {
		room := math.Inf(1)
		if shaping && w.set.Direction == Tx && t.limit.Shape {
			room = max(0, 64<<10-w.own.flow[i]) // TCP small queues
		}
		in[i] = t.offer(now, w.dt, room)
	}
	queued := 0.0
	if w.set.Direction == Tx {
		w.past(in, own)
		w.own.arrive(in, lost)
		w.own.serve(w.dt, own)
		w.link.arrive(own, lost)
		w.link.serve(w.dt, out)
		if w.upstream {
			w.count(own)
		} else {
			w.count(out)
		}
		queued = w.own.delay()
	} else {
		w.link.arrive(in, lost)
		w.link.serve(w.dt, own)
		w.count(own)
		w.past(own, out)
		w.own.arrive(own, lost)
		w.own.serve(w.dt, out)
		queued = w.own.delay()
	}
	for i, t := range w.transfers {
		if lost[i] > 0 {
			t.lose(lost[i], now)
		}
		t.receive(out[i], w.link.delay()+queued, now, w.dt)
		if t.alive && now >= w.calmFrom && w.goodAt[i] < 0 {
			w.goodAt[i] = t.delivered
		}
	}
	w.series = append(w.series, w.link.delay())
	w.stamps = append(w.stamps, now)
	w.probing(now)
	w.control(now)
}

// past moves what does not go through our shaper from in to out.
func (w *world) past(in, out []float64) {
	for i, t := range w.transfers {
		if t.theirs || !t.limit.Shape {
			out[i] += in[i]
			in[i] = 0
		}
	}
}

func (w *world) births(now float64) {
	if w.goodAt == nil {
		w.goodAt = make([]float64, len(w.transfers))
		for i := range w.goodAt {
			w.goodAt[i] = -1
		}
	}
	for _, t := range w.transfers {
		switch {
		case !t.alive && t.born >= 0 && now >= t.born && (t.dies == 0 || now < t.dies) && (t.size == 0 || t.delivered < t.size):
			t.start(now, w.dt)
		case t.alive && (t.dies > 0 && now >= t.dies || t.size > 0 && t.delivered >= t.size):
			t.alive = false
		}
	}
}

func (w *world) count(bytes []float64) {
	for _, b := range bytes {
		w.ctl.passed += b
	}
}
