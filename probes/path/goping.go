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
	"strings"
	"sync/atomic"
	"time"

	//lint:ignore SA1019 it is deprecated in favour of a successor; a change of library is a change of this file
	ping "github.com/go-ping/ping"
)

const (
	// restartAfter is how many requests one run of the library may send: it
	// keeps every lost sequence number until its end.
	restartAfter = 10_000
	never        = 24 * time.Hour // the library's interval when there is no second request
)

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
	ipv4 family = iota
	ipv6
)

func familyOf(a netip.Addr) family {
	if a.Is6() && !a.Is4In6() {
		return ipv6
	}
	return ipv4
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
func (p *ICMP) Ping(ctx context.Context, job Job) error {
	job.Target = job.Target.Unmap()
	f := familyOf(job.Target)
	raw := p.raw[f].Load()
	err := p.run(ctx, job, raw)
	if errors.Is(err, os.ErrPermission) && raw != !p.try(f) { // ping_group_range changed
		p.raw[f].Store(!raw)
		err = p.run(ctx, job, !raw)
	}
	if err != nil {
		return fmt.Errorf("ping %v: %w", job.Target, err)
	}
	return nil
}

// run is one run of the library, which knows no context: it is stopped, and
// ends within a tenth of a second. Its own RTTs are of the wall clock, so
// whoever is called back takes the time.
func (p *ICMP) run(ctx context.Context, job Job, privileged bool) error {
	pinger := ping.New("")
	pinger.SetIPAddr(&net.IPAddr{IP: job.Target.AsSlice(), Zone: zone(job.Target)})
	pinger.SetPrivileged(privileged)
	pinger.SetID(int(uint16(p.id.Add(1))))
	pinger.SetLogger(sendErrors{job.Failed})
	pinger.RecordRtts = false
	pinger.Interval = job.Interval
	if job.Interval == 0 {
		pinger.Interval = never
	}
	pinger.OnSend = func(pkt *ping.Packet) {
		job.Sent(pkt.Seq)
		if pkt.Seq+1 >= restartAfter {
			pinger.Stop()
		}
	}
	pinger.OnRecv = func(pkt *ping.Packet) {
		job.Answered(pkt.Seq)
		if job.UntilAnswer {
			pinger.Stop()
		}
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

// sendErrors receives the library's log, where it puts the errors of sending
// all requests but the first. Replies that make no sense are anybody's doing.
type sendErrors struct{ failed func(error) }

// Fatalf is not fatal: the library goes on.
func (l sendErrors) Fatalf(format string, args ...any) {
	if strings.HasPrefix(format, "sending") {
		l.failed(fmt.Errorf(strings.Replace(format, "%s", "%w", 1), args...))
	}
}

// Errorf and the rest are never of interest.
func (sendErrors) Errorf(string, ...any) {}

// Warnf says nothing.
func (sendErrors) Warnf(string, ...any) {}

// Infof says nothing.
func (sendErrors) Infof(string, ...any) {}

// Debugf says nothing.
func (sendErrors) Debugf(string, ...any) {}
