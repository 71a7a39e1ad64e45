package path

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	//lint:ignore SA1019 it is deprecated in favour of a successor; a change of library is a change of this file
	ping "github.com/go-ping/ping"
)

// never is the library's interval where there is no second request.
const never = 24 * time.Hour

// ICMP pings by go-ping. It prefers the kernel's ping socket, which needs no
// privilege and wakes only for its own replies, to a raw one, which receives
// all ICMP of the host (icmp(7), ping_group_range).
type ICMP struct {
	id  atomic.Uint32     // of raw requests: no two runs share one
	raw [2]atomic.Bool    // by family: the ping socket is not to be had
	try func(family) bool // looks whether it is
}

// family indexes what differs between IPv4 and IPv6.
type family int

const (
	v4 family = iota
	v6
)

func familyOf(a netip.Addr) family {
	if a.Is6() && !a.Is4In6() {
		return v6
	}
	return v4
}

func (f family) String() string { return [...]string{"IPv4", "IPv6"}[f] }

// NewICMP finds out which sockets may be used.
func NewICMP() *ICMP {
	p := &ICMP{try: pingSocketWorks}
	p.id.Store(rand.Uint32()) // replies to another process hardly match, and carry no token of ours
	for f := range p.raw {
		p.raw[f].Store(!p.try(family(f)))
	}
	return p
}

// Ping does what Pinger asks for.
func (p *ICMP) Ping(ctx context.Context, target netip.Addr, sent, answered func()) error {
	target = target.Unmap()
	f := familyOf(target)
	raw := p.raw[f].Load()
	err := p.run(ctx, target, raw, sent, answered)
	if errors.Is(err, os.ErrPermission) && raw != !p.try(f) { // ping_group_range changed
		p.raw[f].Store(!raw)
		err = p.run(ctx, target, !raw, sent, answered)
	}
	if err != nil {
		return fmt.Errorf("ping %v: %w", target, err)
	}
	return nil
}

// run is one run of the library, which knows no context: it is stopped, and
// ends within a tenth of a second. Its own RTTs are of the wall clock, so
// whoever is called back takes the time.
func (p *ICMP) run(ctx context.Context, target netip.Addr, privileged bool, sent, answered func()) error {
	pinger := ping.New("")
	pinger.SetIPAddr(&net.IPAddr{IP: target.AsSlice(), Zone: zone(target)})
	pinger.SetPrivileged(privileged)
	pinger.SetID(int(uint16(p.id.Add(1))))
	pinger.SetLogger(ping.NoopLogger{}) // of replies that make no sense: anybody's doing
	pinger.RecordRtts = false
	pinger.Interval = never
	pinger.OnSend = func(*ping.Packet) { sent() }
	pinger.OnRecv = func(*ping.Packet) {
		answered()
		pinger.Stop()
	}
	stop := context.AfterFunc(ctx, pinger.Stop)
	defer stop()
	return pinger.Run()
}

// zone is the link of a link-local target by number: of names package net
// remembers numbers for a minute, in which a link may have been made again.
func zone(a netip.Addr) string {
	if a.Zone() == "" {
		return ""
	}
	link, err := net.InterfaceByName(a.Zone())
	if err != nil {
		return a.Zone() // sending fails and tells
	}
	return strconv.Itoa(link.Index)
}
