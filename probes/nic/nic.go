// Package nic samples the network links of this host: who they are, whether
// they carry, and what their counters did since the last sample.
//
// Counters come from one RTM_GETSTATS dump a sample. Names, kinds, carrier and
// speed change rarely, so they are kept and refreshed when the kernel reports
// a link event. A counter that went backwards, a link that is new, renamed or
// made again has unknown rates for one sample: never a spike, never zero.
package nic

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"lifeline/watchdog"
)

// Info is what is known of a link besides its counters.
type Info struct {
	Index          int
	Name           string
	Kind           string // "device" when the kernel gives none
	Address        string // hardware address; tells a link made again under the same index and name
	Up             bool   // IFF_UP
	Carrier        bool
	Loopback       bool
	Parent         int     // ifindex of IFLA_LINK in this namespace; 0 for none
	Master         int     // ifindex of IFLA_MASTER; 0 for none
	Speed          float64 // bytes/s as the driver says, believed or not; 0 when it says nothing
	Driver         string  // ethtool's name of the driver; empty when unknown
	CarrierChanges uint64
}

// Reading is one link's counters at one moment, by direction.
type Reading struct {
	Index    int
	Counters [2]watchdog.Counters
}

// Kernel is what the probe asks of the system.
type Kernel interface {
	// Links lists all links.
	Links() ([]Info, error)
	// Link looks at one link; ErrNoLink when it is gone.
	Link(index int) (Info, error)
	// Counters appends a reading of every link to buf.
	Counters(buf []Reading) ([]Reading, error)
	Close() error
}

// Change is a hint of the kernel that a link is not what it was.
type Change struct {
	Index int
	Gone  bool
}

// Subscriber delivers link events until ctx ends or an error stops it. It
// calls ready once nothing can be missed any more.
type Subscriber interface {
	Subscribe(ctx context.Context, ready func(), on func(Change)) error
}

// ErrNoLink says that no link has the index that was asked for.
var ErrNoLink = errors.New("no such link")

const (
	relistEvery = time.Minute            // heals whatever an event did not tell
	relistBlind = time.Second            // the same while no events come
	resubscribe = 500 * time.Millisecond // pause before subscribing again
	maxRefresh  = 16                     // links looked at one by one; more in a later sample
)

// Probe samples all links but the loopback. Its methods may be called from
// different goroutines.
type Probe struct {
	kernel Kernel
	events Subscriber
	log    *slog.Logger
	wake   chan struct{}

	mu       sync.Mutex
	infos    map[int]Info
	lower    map[int][]int // by ifindex, shared with the samples, never changed in place
	tracks   map[int]*track
	readings []Reading
	stale    map[int]bool // to be looked at again
	relist   bool         // everything is to be looked at again
	live     bool         // events are coming
	listedAt time.Duration
}

// NewProbe samples through kernel and listens through events.
func NewProbe(kernel Kernel, events Subscriber, log *slog.Logger) *Probe {
	return &Probe{
		kernel: kernel, events: events, log: log, wake: make(chan struct{}, 1),
		infos: map[int]Info{}, lower: map[int][]int{}, tracks: map[int]*track{},
		stale: map[int]bool{}, relist: true,
	}
}

// String names the task.
func (p *Probe) String() string { return "nic" }

// Wake receives after a link event: a sample taken then sees the change.
func (p *Probe) Wake() <-chan struct{} { return p.wake }

// Close gives the sockets back. Sample fails afterwards.
func (p *Probe) Close() error { return p.kernel.Close() }

// Run listens for link events until ctx ends. Without it Sample still works
// and sees changes of carrier within a second.
func (p *Probe) Run(ctx context.Context) error {
	for {
		err := p.events.Subscribe(ctx, func() { p.setLive(true) }, p.changed)
		p.setLive(false)
		if ctx.Err() != nil {
			return nil // asked to stop
		}
		p.log.Warn("link events stopped, subscribing again", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(resubscribe):
		}
	}
}

// setLive notes whether events come; either way some may have been missed.
func (p *Probe) setLive(live bool) {
	p.mu.Lock()
	p.live, p.relist = live, true
	p.mu.Unlock()
	p.signal()
}

func (p *Probe) changed(c Change) {
	p.mu.Lock()
	if c.Gone {
		p.forget(c.Index)
	} else {
		p.stale[c.Index] = true
	}
	p.mu.Unlock()
	p.signal()
}

func (p *Probe) signal() {
	select {
	case p.wake <- struct{}{}:
	default: // a wake-up is waiting already
	}
}

// forget drops a link, so that another one under its index starts anew.
func (p *Probe) forget(index int) {
	delete(p.infos, index)
	delete(p.tracks, index)
	delete(p.stale, index)
	p.relate()
}

// Sample reads all links; now is monotonic time. An error leaves what it
// concerns unknown: rates are not Known, or the links are missing.
func (p *Probe) Sample(now time.Duration) ([]watchdog.Link, []watchdog.ProbeError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []watchdog.ProbeError
	if err := p.refresh(now); err != nil {
		errs = append(errs, watchdog.ProbeError{Probe: watchdog.ProbeNIC, Err: err.Error()})
	}
	var err error
	p.readings, err = p.kernel.Counters(p.readings[:0])
	if err != nil {
		err = fmt.Errorf("read link counters: %w", err)
		errs = append(errs, watchdog.ProbeError{Probe: watchdog.ProbeNIC, Err: err.Error()})
		return p.links(now, nil), errs
	}
	if p.reconcile() {
		if err := p.lookStale(); err != nil {
			errs = append(errs, watchdog.ProbeError{Probe: watchdog.ProbeNIC, Err: err.Error()})
		}
	}
	return p.links(now, p.readings), errs
}

// refresh brings the links' descriptions up to date, as far as that is due.
func (p *Probe) refresh(now time.Duration) error {
	every := relistEvery
	if !p.live {
		every = relistBlind
	}
	if p.relist || now-p.listedAt >= every || now < p.listedAt {
		return p.list(now)
	}
	return p.lookStale()
}

// lookStale refreshes the links that changed. What is left over stays stale
// until the next sample: the cost of one is bounded.
func (p *Probe) lookStale() error {
	looked := 0
	for index := range p.stale {
		if looked++; looked > maxRefresh {
			break
		}
		if err := p.look(index); err != nil {
			return err
		}
	}
	return nil
}

// look refreshes one link.
func (p *Probe) look(index int) error {
	info, err := p.kernel.Link(index)
	switch {
	case errors.Is(err, ErrNoLink):
		p.forget(index)
		return nil
	case err != nil:
		return fmt.Errorf("link %d: %w", index, err)
	}
	p.put(info)
	delete(p.stale, index)
	p.relate()
	return nil
}

// list refreshes all links.
func (p *Probe) list(now time.Duration) error {
	infos, err := p.kernel.Links()
	if err != nil {
		return fmt.Errorf("list links: %w", err)
	}
	seen := make(map[int]bool, len(infos))
	for _, info := range infos {
		seen[info.Index] = true
		p.put(info)
	}
	for index := range p.infos {
		if !seen[index] {
			delete(p.infos, index)
			delete(p.tracks, index)
		}
	}
	clear(p.stale)
	p.relist, p.listedAt = false, now
	p.relate()
	return nil
}

// put stores a description; rates start anew when it is of another link.
func (p *Probe) put(info Info) {
	old, known := p.infos[info.Index]
	if known && !same(old, info) {
		delete(p.tracks, info.Index)
	}
	p.infos[info.Index] = info
}

// same tells whether two descriptions under one index are of one link.
func same(a, b Info) bool {
	return a.Name == b.Name && a.Kind == b.Kind && a.Address == b.Address && b.CarrierChanges >= a.CarrierChanges
}

// reconcile compares the links that are known with those that have counters,
// in case an event is still under way or was lost. It forgets what vanished
// and tells whether there are links to be looked at.
func (p *Probe) reconcile() bool {
	known := 0
	for i := range p.readings {
		if _, ok := p.infos[p.readings[i].Index]; ok {
			known++
		} else {
			p.stale[p.readings[i].Index] = true
		}
	}
	if known < len(p.infos) {
		p.forgetVanished()
	}
	return len(p.stale) > 0
}

func (p *Probe) forgetVanished() {
	present := make(map[int]bool, len(p.readings))
	for i := range p.readings {
		present[p.readings[i].Index] = true
	}
	for index := range p.infos {
		if !present[index] {
			p.forget(index)
		}
	}
}

// relate computes which physical links lie beneath each link.
func (p *Probe) relate() { p.lower = lowest(p.infos) }

// links puts descriptions and readings together. A link without a reading has
// unknown rates.
func (p *Probe) links(now time.Duration, readings []Reading) []watchdog.Link {
	links := make([]watchdog.Link, 0, len(p.infos))
	for i := range readings {
		info, ok := p.infos[readings[i].Index]
		if !ok || info.Loopback {
			continue
		}
		t := p.tracks[info.Index]
		if t == nil {
			t = new(track)
			p.tracks[info.Index] = t
		}
		l := p.link(info)
		l.Counters = readings[i].Counters
		l.Rates = t.step(now, &readings[i].Counters, l.Speed)
		links = append(links, l)
	}
	if len(readings) == 0 {
		clear(p.tracks)
		for _, info := range p.infos {
			if !info.Loopback {
				links = append(links, p.link(info))
			}
		}
	}
	slices.SortFunc(links, func(a, b watchdog.Link) int { return cmp.Compare(a.Index, b.Index) })
	return links
}

func (p *Probe) link(info Info) watchdog.Link {
	lower := p.lower[info.Index]
	return watchdog.Link{
		Index: info.Index, Name: info.Name, Kind: info.Kind,
		Up: info.Up, Carrier: info.Carrier,
		Speed:          believed(info, lower, p.infos),
		CarrierChanges: info.CarrierChanges,
		Lower:          lower,
	}
}
