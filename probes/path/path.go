// Package path measures the way to the hosts from which this one is managed:
// round-trip time, its base when the path is empty, and loss.
//
// Targets are found from evidence, asked by ICMP at a pace that depends on
// whether transfers run, and judged by what they answered. What cannot be told
// is unknown: a base that was learnt under load, a gateway that was never seen
// to queue and a target that never answered give no delay.
package path

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"lifeline/watchdog"
)

// Mode is how closely paths are watched.
type Mode uint8

// Idle asks about once in two seconds, Fast as often as the delay needs it, and
// Close as often as there is: limits move, and the next step rests on it.
const (
	Idle Mode = iota
	Fast
	Close
)

// mostFast is how many links are followed closely at once.
const mostFast = 2

// Config is what a Probe works with.
type Config struct {
	Pinger Pinger
	Echo   Echo
	Router Router
	Store  Store
	Clock  func() time.Duration // monotonic, with the origin of Sample's now
	Wall   func() time.Time     // for what is remembered over restarts
	Log    *slog.Logger

	// Answered is called with each answer's link (ifindex) and RTT, and must not
	// wait. It may be nil.
	Answered func(link int, rtt time.Duration)
}

// Probe asks the targets. Its methods may be called from different goroutines.
type Probe struct {
	Config
	pings   chan *pingRun
	changed chan struct{}

	mu         sync.Mutex
	configured []netip.Addr
	sessions   []Session
	mode       Mode
	idle       map[int]bool // links without load now
	targets    []*target    // in order of worth
	memory     Memory
	last       requestID
	gateways   []netip.Addr
	nic        func(link int) int // beneath a link; nil: each link is its own
	routeErr   error
}

// Guide is what a sample goes by.
type Guide struct {
	Mode       Mode               // whether transfers are active, and whether their limits move
	Idle       []int              // links that carry next to nothing, by ifindex: only their base RTTs may rise
	NIC        func(link int) int // beneath a link, by ifindex: what lies over one is compared; nil: each is its own
	Configured []netip.Addr       // targets
	Sessions   []Session          // who is logged in
}

// New makes a Probe; it asks nothing before Run.
func New(c Config) *Probe {
	return &Probe{Config: c, pings: make(chan *pingRun, 64), changed: make(chan struct{}, 1)}
}

// String names the task.
func (p *Probe) String() string { return "path" }

func (p *Probe) signal() {
	select {
	case p.changed <- struct{}{}:
	default: // noted already
	}
}

// follow takes over what a sample is to go by. The begin of Fast and all of Close
// follow the delay closely.
func (p *Probe) follow(g Guide) {
	if g.Mode == Close || g.Mode == Fast && p.mode == Idle {
		now := p.Clock()
		for _, t := range p.targets {
			t.sprint(now, true)
		}
	}
	p.mode, p.nic = g.Mode, g.NIC
	p.idle = make(map[int]bool, len(g.Idle))
	for _, l := range g.Idle {
		p.idle[l] = true
	}
	if !slices.Equal(p.configured, g.Configured) || !slices.Equal(p.sessions, g.Sessions) {
		p.configured, p.sessions = slices.Clone(g.Configured), slices.Clone(g.Sessions)
		p.signal()
	}
}

// Doubt says that the queue which target showed is not ours: its delay does
// not count for a while.
func (p *Probe) Doubt(addr netip.Addr) {
	p.withTarget(addr, func(t *target) { t.trust.distrust(p.Clock()) })
}

// Sample reads what came back, gives the paths as they are known at now, in order
// of worth, and sends what is due.
func (p *Probe) Sample(now time.Duration, g Guide) ([]watchdog.Path, []watchdog.ProbeError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.follow(g)
	p.receive()
	for _, t := range p.targets {
		t.update(now, p.mode != Idle)
	}
	primaries := p.primaries(now)
	paths := make([]watchdog.Path, 0, len(p.targets))
	for _, t := range p.targets {
		first := primaries[t.link]
		t.primary = first == t
		var from time.Duration
		if first != nil && first != t && first.high {
			from = first.highSince
		}
		paths = append(paths, t.path(now, from))
		p.ask(t, now, from > 0)
	}
	return paths, p.errors()
}

// Confirm says that the queue which target showed went when the transfers' limits
// were lowered.
func (p *Probe) Confirm(addr netip.Addr) {
	p.withTarget(addr, func(t *target) { t.trust.confirm() })
}

// withTarget changes what is thought of a target, if it is still one.
func (p *Probe) withTarget(addr netip.Addr, change func(*target)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.targets {
		if t.addr == addr {
			change(t)
		}
	}
}

// primaries picks for each link the target that is followed most closely: the
// first that answers and is judged by itself, best with a queue, else the first
// whose delay counts without yielding to another's, else the first whose delay
// counts, else the first that answers.
func (p *Probe) primaries(now time.Duration) map[int]*target {
	best := make(map[int]*target, mostFast)
	for _, t := range p.targets {
		if !t.history.heard || t.history.silence(now) > 0 {
			continue
		}
		old, ok := best[t.link]
		if !ok && len(best) < mostFast || ok && t.rank(now) > old.rank(now) {
			best[t.link] = t
		}
	}
	return best
}

// errors tells once for each reason why requests could not be sent.
func (p *Probe) errors() []watchdog.ProbeError {
	var errs []watchdog.ProbeError
	if p.routeErr != nil {
		errs = append(errs, watchdog.ProbeError{Probe: watchdog.ProbePath, Err: p.routeErr.Error()})
	}
	for _, t := range p.targets {
		if t.err != nil {
			errs = append(errs, watchdog.ProbeError{Probe: watchdog.ProbePath, Err: t.err.Error()})
		}
	}
	return errs
}

// ask sends what is due to t by its pace.
func (p *Probe) ask(t *target, now time.Duration, confirm bool) {
	t.pace = t.situation(now, p.mode != Idle, confirm).pace()
	switch {
	case !t.due(now):
	case t.pace.wait > 0:
		p.beginPing(t, now)
	default:
		p.last++
		t.tries++
		t.asked = now
		out := p.Clock()
		t.sent(p.last, out, p.Echo.Send(t.addr, uint64(p.last)))
	}
}

// beginPing hands a request to Run, unless that does not keep up.
func (p *Probe) beginPing(t *target, now time.Duration) {
	if t.pings >= mostPings {
		return
	}
	p.last++
	r := &pingRun{id: p.last, target: t}
	r.ctx, r.cancel = context.WithTimeout(context.Background(), t.pace.wait)
	select {
	case p.pings <- r:
		t.tries++
		t.pings++
		t.asked = now
	default:
		r.cancel()
	}
}

// receive takes the answers that the Echo has.
func (p *Probe) receive() {
	timed := p.Echo.Receive(func(from netip.Addr, n uint64, ago time.Duration) {
		for _, t := range p.targets {
			if bare(t.addr) == from {
				p.noteAnswer(t, requestID(n), p.Clock()-ago)
			}
		}
	})
	if timed {
		return
	}
	for _, t := range p.targets {
		t.history.forget(p.Clock())
	}
}

// bare is an address as the kernel gives it, without its link.
func bare(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
