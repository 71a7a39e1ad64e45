package path

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"lifeline/watchdog"
)

// fakeNet answers as its functions say, in the simulated time of a bubble.
type fakeNet struct {
	mu    sync.Mutex
	rtt   map[netip.Addr]time.Duration // below zero: no answer
	fail  map[netip.Addr]error
	asked map[netip.Addr]int
}

func (n *fakeNet) set(a netip.Addr, rtt time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rtt[a] = rtt
}

func (n *fakeNet) count(a netip.Addr) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.asked[a]
}

func (n *fakeNet) ask(a netip.Addr) (time.Duration, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked[a]++
	rtt, ok := n.rtt[a]
	if !ok {
		rtt = -1
	}
	return rtt, n.fail[a]
}

// Ping waits as long as the answer takes.
func (n *fakeNet) Ping(ctx context.Context, target netip.Addr, sent, answered func()) error {
	rtt, err := n.ask(target)
	if err != nil {
		return err
	}
	sent()
	var answer <-chan time.Time
	if rtt >= 0 {
		answer = time.After(rtt)
	}
	select {
	case <-ctx.Done():
	case <-answer:
		answered()
	}
	return nil
}

// fakeEcho asks the same net. It is used by one goroutine.
type fakeEcho struct {
	*fakeNet
	under []echoRequest
	slip  bool // a clock was set
}

type echoRequest struct {
	to      netip.Addr
	n       uint64
	arrives time.Time
}

func (e *fakeEcho) Send(target netip.Addr, n uint64) error {
	rtt, err := e.ask(target)
	if err == nil && rtt >= 0 {
		e.under = append(e.under, echoRequest{target, n, time.Now().Add(rtt)})
	}
	return err
}

func (e *fakeEcho) Receive(answered func(from netip.Addr, n uint64, ago time.Duration)) (timed bool) {
	timed, e.slip = !e.slip, false
	e.under = slices.DeleteFunc(e.under, func(r echoRequest) bool {
		ago := time.Since(r.arrives)
		if ago >= 0 && timed {
			answered(r.to, r.n, ago)
		}
		return ago >= 0
	})
	return timed
}

// fakeRoutes has one link, 2, and the gateways that it is given.
type fakeRoutes struct {
	mu       sync.Mutex
	gateways []netip.Addr
	way      Way
	err      error
	changed  chan struct{}
}

func (r *fakeRoutes) Gateways() ([]netip.Addr, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.gateways, r.err
}

func (r *fakeRoutes) Route(a netip.Addr) (Route, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return Route{Way: r.way, Link: 2, Local: a == self}, r.err
}

func (r *fakeRoutes) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-ctx.Done():
			return errors.New("ended")
		case <-r.changed:
			changed()
		}
	}
}

func (r *fakeRoutes) reroute(w Way) {
	r.mu.Lock()
	r.way = w
	r.mu.Unlock()
	r.changed <- struct{}{}
}

// fakeStore keeps what it is given.
type fakeStore struct {
	mu  sync.Mutex
	m   Memory
	err error
}

func (s *fakeStore) Load() (Memory, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m, s.err
}

func (s *fakeStore) Save(m Memory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m = m
}

var (
	self  = netip.MustParseAddr("192.0.2.1")
	admin = netip.MustParseAddr("198.51.100.7")
	other = netip.MustParseAddr("198.51.100.8")
	gw    = netip.MustParseAddr("192.0.2.254")
	way   = Way{Link: "eth0", Gateway: gw, MAC: "02:00:00:00:00:fe"}
)

// guided is a probe whose samples go by what was said last. It hears of it at once.
type guided struct {
	*Probe
	guide Guide
}

func newGuided(c Config) *guided { return &guided{Probe: New(c)} }

func (g *guided) say() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.follow(g.guide)
}

func (g *guided) SetMode(m Mode)       { g.guide.Mode = m; g.say() }
func (g *guided) SetIdle(links ...int) { g.guide.Idle = links; g.say() }
func (g *guided) SetTargets(configured []netip.Addr, sessions []Session) {
	g.guide.Configured, g.guide.Sessions = configured, sessions
	g.say()
}

func (g *guided) Sample(now time.Duration) ([]watchdog.Path, []watchdog.ProbeError) {
	return g.Probe.Sample(now, g.guide)
}

// scene is a probe that runs in a bubble of simulated time.
type scene struct {
	*guided
	net    *fakeNet
	echo   *fakeEcho
	routes *fakeRoutes
	store  *fakeStore
	stop   func()
}

func bubble(t *testing.T, f func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{
			net:    &fakeNet{rtt: map[netip.Addr]time.Duration{}, fail: map[netip.Addr]error{}, asked: map[netip.Addr]int{}},
			routes: &fakeRoutes{gateways: []netip.Addr{gw}, way: way, changed: make(chan struct{})},
			store:  &fakeStore{},
		}
		s.echo = &fakeEcho{fakeNet: s.net}
		s.boot(t)
		f(t, s)
		s.stop()
	})
}

// boot starts a new probe, as after a restart.
func (s *scene) boot(t *testing.T) {
	start := time.Now()
	s.guided = newGuided(Config{
		Pinger: s.net, Echo: s.echo, Router: s.routes, Store: s.store, Wall: time.Now,
		Clock: func() time.Duration { return time.Since(start) },
		Log:   slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	synctest.Wait()
}

// tick samples every gap for d.
func (s *scene) tick(gap, d time.Duration) {
	for end := s.Clock() + d; s.Clock() < end; {
		s.Sample(s.Clock())
		time.Sleep(gap)
		synctest.Wait()
	}
}
