package path

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
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

// Ping answers in order of sending; every interval is kept exactly.
func (n *fakeNet) Ping(ctx context.Context, job Job) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var one sync.Mutex
	for seq := 0; ; seq++ {
		rtt, err := n.ask(job.Target)
		if err != nil && seq == 0 {
			return err
		}
		one.Lock()
		if err != nil {
			job.Failed(err)
		} else {
			job.Sent(seq)
		}
		one.Unlock()
		if err == nil && rtt >= 0 {
			wg.Go(func() {
				select {
				case <-ctx.Done():
				case <-time.After(rtt):
					one.Lock()
					job.Answered(seq)
					one.Unlock()
					if job.UntilAnswer {
						cancel()
					}
				}
			})
		}
		var next <-chan time.Time
		if job.Interval > 0 {
			next = time.After(job.Interval)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-next:
		}
	}
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

// scene is a probe that runs in a bubble of simulated time.
type scene struct {
	*Probe
	net    *fakeNet
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
		s.boot(t)
		f(t, s)
		s.stop()
	})
}

// boot starts a new probe, as after a restart.
func (s *scene) boot(t *testing.T) {
	start := time.Now()
	s.Probe = New(Config{
		Pinger: s.net, Router: s.routes, Store: s.store, Wall: time.Now,
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
