package path

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline/watchdog"
)

const (
	refreshEvery  = time.Minute            // routes, neighbours and what is saved
	routeQuietFor = 300 * time.Millisecond // a change of routes is seldom a single one
)

// Route is how packets leave for a target.
type Route struct {
	Way
	Link  int  // ifindex
	Local bool // the target is this host itself
}

// Router tells how packets leave this host.
type Router interface {
	// Gateways are those of the default routes, best first.
	Gateways() ([]netip.Addr, error)
	Route(target netip.Addr) (Route, error)
	// Watch calls changed after every change of a route until ctx ends.
	Watch(ctx context.Context, changed func()) error
}

// Run asks what Sample wants to be asked and keeps targets, routes and memory
// up to date, until ctx ends.
func (p *Probe) Run(ctx context.Context) error {
	p.load()
	var g errgroup.Group
	g.Go(func() error { p.watch(ctx); return nil })
	p.retarget()
	refresh := time.NewTicker(refreshEvery)
	defer refresh.Stop()
	for {
		select {
		case <-ctx.Done():
			err := g.Wait()
			p.cancelWaiting()
			p.save()
			return err
		case r := <-p.pings:
			g.Go(func() error { p.execute(ctx, r); return nil })
		case <-p.changed:
			p.retarget()
		case <-refresh.C:
			p.retarget()
			p.save()
		}
	}
}

// watch follows route changes, and without them lets the refresh do.
func (p *Probe) watch(ctx context.Context) {
	for ctx.Err() == nil {
		if err := p.Router.Watch(ctx, p.signal); err != nil && ctx.Err() == nil {
			p.Log.Warn("route events stopped, subscribing again", "err", err)
		}
		p.signal()
		select {
		case <-ctx.Done():
		case <-time.After(routeQuietFor):
		}
	}
}

// execute makes one request of the Pinger.
func (p *Probe) execute(ctx context.Context, r *pingRun) {
	defer r.cancel()
	stop := context.AfterFunc(ctx, r.cancel)
	defer stop()
	t := r.target
	err := p.Pinger.Ping(r.ctx, t.addr,
		func() { p.sent(t, r.id, nil) },
		func() { p.answered(t, r.id) })
	if err != nil && r.ctx.Err() == nil {
		p.sent(t, r.id, err)
	}
	p.requestEnded(t)
}

func (p *Probe) sent(t *target, id requestID, err error) {
	now := p.Clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	t.sent(id, now, err)
}

func (p *Probe) answered(t *target, id requestID) {
	now := p.Clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteAnswer(t, id, now)
}

// noteAnswer notes the answer to a request, which came at at.
func (p *Probe) noteAnswer(t *target, id requestID, at time.Duration) {
	rtt, ok := t.answered(id, p.idle[t.link], at)
	if ok {
		p.compareWithOthers(t, rtt, at)
	}
	if ok && p.Answered != nil {
		p.Answered(t.link, rtt)
	}
}

func (p *Probe) requestEnded(t *target) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.pings--
}

// cancelWaiting drops the runs that were asked for too late.
func (p *Probe) cancelWaiting() {
	for {
		select {
		case r := <-p.pings:
			r.cancel()
			p.requestEnded(r.target)
		default:
			return
		}
	}
}

// retarget finds the targets anew and how packets leave for them.
func (p *Probe) retarget() {
	gateways, err := p.Router.Gateways()
	if err != nil {
		err = fmt.Errorf("read default routes: %w", err)
	}
	p.mu.Lock()
	if err == nil {
		p.gateways = gateways // else they are as before, for all we know
	}
	list := chooseTargets(targetSources{p.configured, p.sessions, p.memory.Peers, p.gateways})
	p.mu.Unlock()
	routes := make(map[netip.Addr]Route, len(list))
	for _, c := range list {
		r, rerr := p.Router.Route(c.addr)
		if rerr != nil {
			err = errors.Join(err, fmt.Errorf("route to %v: %w", c.addr, rerr))
			continue // asked all the same: the pinger's error tells the rest
		}
		routes[c.addr] = r
	}
	p.setTargets(list, routes, err)
}

// setTargets makes list the targets. What is known of those that stay is kept.
func (p *Probe) setTargets(list []chosenTarget, routes map[netip.Addr]Route, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.routeErr = err
	old := p.targets
	p.targets = nil
	for _, c := range list {
		r, known := routes[c.addr]
		if r.Local {
			continue
		}
		p.targets = append(p.targets, p.target(old, c, r, known))
	}
}

// target is the one of old with the address of c, or a new one.
func (p *Probe) target(old []*target, c chosenTarget, r Route, known bool) *target {
	i := slices.IndexFunc(old, func(t *target) bool { return t.addr == c.addr })
	t := &target{addr: c.addr}
	if i >= 0 {
		t = old[i]
	}
	t.why = c.why
	if !known {
		t.link = 0
		return t
	}
	t.reroute(r)
	if m, ok := p.memory.find(t.addr, t.way, p.Wall()); ok && t.base.rtt == 0 {
		t.recall(m)
	}
	return t
}

func (p *Probe) load() {
	m, err := p.Store.Load()
	if err != nil {
		p.Log.Warn("base RTTs of earlier runs are not to be had, learning them again", "err", err)
	}
	p.mu.Lock()
	p.memory = m
	p.mu.Unlock()
}

// save hands what was learnt to the store.
func (p *Probe) save() {
	p.mu.Lock()
	now := p.Wall()
	for _, t := range p.targets {
		if t.base.trusted() && t.way != (Way{}) {
			p.memory.put(BaseMemory{Target: t.addr, Way: t.way, Base: t.base.rtt, Queues: t.gateway() && t.trust.proven, Apart: t.separate.proven, Learnt: now})
		}
		if t.why == watchdog.TargetSession && t.history.heard {
			p.memory.Peers = rememberPeer(p.memory.Peers, t.addr, now)
		}
	}
	m := p.memory.clone()
	p.mu.Unlock()
	p.Store.Save(m)
}
