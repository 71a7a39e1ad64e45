package control

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
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

	rng    *rand.Rand
	dt     float64
	link   *fifo
	own    *fifo
	ctl    *end
	farCtl *end
	result result
	series []float64 // s of queue, each ms or step
	stamps []float64
	goodAt []float64
}

var trace = os.Getenv("TRACE") != ""

// end is one Lifeline.
type end struct {
	c      *Controller
	next   float64
	last   float64
	passed float64 // bytes at its NIC
	seen   float64
	out    Output
	shaped float64 // since when the shaper is asked for
	paused map[string]bool
	phase  Phase
	toggle int
	phases int
	born   map[string]float64
}

// result is what a run showed, from calmFrom on unless it says otherwise.
type result struct {
	p50, p99, peak float64 // s of queue; peak of the whole run
	calm           float64 // s until every later 500 ms window has a median below 10 ms
	use            float64 // part of the capacity that rsync had
	all            float64 // part of the capacity in use
	lost           float64 // part of bytes lost
	pauses         int     // pauses and resumes
	phases         int     // changes of phase
	minShare       float64 // smallest goodput of a transfer over the mean
}

func (r result) String() string {
	return fmt.Sprintf("queue p50 %.2f p99 %.2f peak %.1f ms, calm after %.2f s, rsync %.1f %% of capacity (all %.1f), lost %.3f %%, %d pauses/resumes, %d phase changes, least share %.2f",
		r.p50/ms, r.p99/ms, r.peak/ms, r.calm, 100*r.use, 100*r.all, 100*r.lost, r.pauses, r.phases, r.minShare)
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
	w.rng = rand.New(rand.NewPCG(1, uint64(len(w.transfers))))
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

func newEnd(s Settings) *end {
	return &end{c: New(s), paused: map[string]bool{}, born: map[string]float64{}}
}

var bufIn, bufOut, bufLost, bufOwn []float64

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
	in, out, lost, own := zero(&bufIn, n), zero(&bufOut, n), zero(&bufLost, n), zero(&bufOwn, n)
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

// probing sends a probe now and then over the path as it is.
func (w *world) probing(now float64) {
	rtt := w.rtt + w.link.delay()
	if w.foreign != nil {
		rtt += w.foreign(now)
	}
	if w.route != nil {
		rtt += w.route(now)
	}
	w.probe.step(now, rtt, len(w.ctl.born) > 0)
}

func (w *world) delay(now float64) Delay {
	if w.noDelay {
		return Delay{}
	}
	d := w.probe.delay(now, w.rtt)
	w.probe.look(now, d.Queue)
	return d
}

// control lets the controllers act when they want to.
func (w *world) control(now float64) {
	tenth := math.Floor(now/0.1) != math.Floor((now-w.dt)/0.1)
	if tenth {
		for _, t := range w.transfers {
			if t.alive {
				t.mark()
			}
		}
	}
	w.act(w.ctl, now)
	if w.farCtl != nil {
		w.farCtl.passed = w.ctl.passed
		w.act(w.farCtl, now)
	}
}

func (w *world) act(e *end, now float64) {
	for _, t := range w.transfers { // a birth is seen within 20 ms
		if t.alive && !t.theirs && e.born[t.id] == 0 && now-t.born > 0.02 {
			e.born[t.id] = now
			e.next = min(e.next, now)
		}
	}
	if now < e.next {
		return
	}
	in := w.sample(e, now)
	e.out = e.c.Step(in)
	e.last, e.seen = now, e.passed
	e.next = now + e.out.Tick.Seconds()
	w.apply(e, now)
	if trace && e == w.ctl {
		c := e.c
		fmt.Printf("%.3f mode %d R %.2fM top %.2fM q %.2f fresh %.2f link %.2fms own %.1fms rate %.2fM ours %.2fM oth %.2fM peak %.2fM phase %v sh %v shaper %.2fM all %d cap %.2fM foreign %.2f tick %v\n", now, c.mode, c.budget.rate/mbit, c.budget.top/mbit,
			in.Delay.Queue.Seconds()*1e3, in.Delay.Recent.Seconds()*1e3, w.link.delay()*1e3, w.own.delay()*1e3, in.Rate/mbit, c.meter.ours/mbit, c.meter.others/mbit, c.meter.peak/mbit, e.out.Phase, c.shaper.stands, e.out.Shaper/mbit, min(c.crisis.allowed, 999), e.out.Capacity/mbit, c.delay.foreign*1e3, e.out.Tick)
	}
	if w.each != nil && e == w.ctl {
		w.each(now, e.out)
	}
}

func (w *world) sample(e *end, now float64) Input {
	in := Input{
		Now: time.Duration(now * 1e9), Delay: w.delay(now), Capacity: w.known, Learnt: w.learnt, Configured: w.known > 0,
		Shaper: w.shaper, ShaperOn: e.shaped > 0 && now-e.shaped > 0.05, Management: Reachable,
	}
	if now > e.last {
		in.RateKnown = e.last > 0
		in.Rate = (e.passed - e.seen) / (now - e.last) * (1 + 0.01*w.rng.NormFloat64())
	}
	if w.other != nil {
		in.Other = w.other(now)
	}
	if w.reach != nil {
		in.Management = w.reach(w)
	}
	for _, t := range w.transfers {
		if t.alive && !t.theirs && e.born[t.id] > 0 {
			in.Flows = append(in.Flows, t.flow(now))
		}
	}
	if w.input != nil {
		w.input(now, &in)
	}
	return in
}

func (w *world) apply(e *end, now float64) {
	if e.out.Shaper > 0 && e.shaped == 0 {
		e.shaped = now
	} else if e.out.Shaper == 0 {
		e.shaped = 0
	}
	if e.out.Phase != e.phase {
		e.phase = e.out.Phase
		e.phases++
	}
	i := 0
	for _, t := range w.transfers {
		if !t.alive || t.theirs || e.born[t.id] == 0 {
			continue
		}
		l := e.out.Flows[i]
		i++
		if l.Pause != e.paused[t.id] {
			e.paused[t.id] = l.Pause
			e.toggle++
		}
		w.merge(e, t, l)
	}
}

// merge writes what one end imposes; with a Lifeline at both, windows come
// from the receiver and pacing from the sender.
func (w *world) merge(e *end, t *transfer, l FlowLimit) {
	if w.far == nil {
		t.limit = l
		return
	}
	if e.c.set.Direction == Rx {
		t.limit.Window = l.Window
	} else {
		t.limit.Pacing = l.Pacing
	}
	t.limit.Pause = w.ctl.paused[t.id] || w.farCtl.paused[t.id]
}

// sum makes the figures.
func (w *world) sum() {
	r := &w.result
	var q []float64
	for i, d := range w.series {
		r.peak = max(r.peak, d)
		if w.stamps[i] >= w.calmFrom {
			q = append(q, d)
		}
	}
	slices.Sort(q)
	r.p50, r.p99 = q[len(q)/2], q[len(q)*99/100]
	r.calm = w.calmAfter()
	span := w.length - w.calmFrom
	sum, total, least, n := 0.0, 0.0, math.Inf(1), 0.0
	for i, t := range w.transfers {
		if w.goodAt[i] < 0 {
			continue
		}
		good := t.delivered - w.goodAt[i]
		total += good
		if t.kind == constant {
			continue
		}
		if !t.theirs {
			sum += good
			n++
			least = min(least, good)
		}
	}
	r.use, r.all = sum/span/w.capacity, total/span/w.capacity
	r.lost = w.link.lost / max(1, w.ctl.passed)
	r.pauses, r.phases = w.ctl.toggle, w.ctl.phases
	if sum > 0 {
		r.minShare = least / (sum / n)
	}
}

func (w *world) calmAfter() float64 {
	first := math.Inf(1)
	for _, t := range w.transfers {
		if !t.theirs {
			first = min(first, t.born)
		}
	}
	size := int(0.5 / w.dt)
	for end := len(w.series); end-size >= 0; end -= size {
		win := slices.Clone(w.series[end-size : end])
		slices.Sort(win)
		if win[len(win)/2] >= 0.010 {
			return max(0, w.stamps[end-1]-first)
		}
	}
	return 0
}
