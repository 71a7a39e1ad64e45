package shaper

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"

	"lifeline/watchdog"
)

// Handles of ours. The kernel hands out 8000: and up by itself and people write
// small numbers, so these ("LF" in ASCII) are met by accident nowhere.
const (
	rootMajor  = 0x4c46
	rootHandle = rootMajor << 16
	classLine  = rootHandle | 0x01 // the parent: the line itself
	classMgmt  = rootHandle | 0x10 // ssh and ping
	classOther = rootHandle | 0x20 // everything that is not rsync
	// classRsync is what SO_PRIORITY of a transfer's socket is set to. The low
	// four bits are 2: should the value outlive the shaper, pfifo_fast puts
	// the socket into its lowest band.
	classRsync = rootHandle | 0x02

	// Classes of single transfers are numbered from here on.
	firstTransferClass = rootHandle | 0x100

	leafMgmt          = (rootMajor + 1) << 16
	leafOther         = (rootMajor + 2) << 16
	leafRsync         = (rootMajor + 3) << 16
	firstTransferLeaf = (rootMajor + 4) << 16 // and on
)

// Filters of ours come last: what an operator adds beside them, with or without
// a priority of his own, still sees every packet.
const (
	filterPrio4 = 0xffe2 // IPv4
	filterPrio6 = 0xffe3 // IPv6

	// On the ifb, which is ours alone, each class of a single transfer has a
	// filter of a priority of its own, from here on.
	firstTransferPrio = 0x100

	// Nodes of our filters in the table that the kernel makes by itself for a
	// priority; it numbers those of others from 0x800 on.
	linkNode     = 0x4c4
	maxLinkNodes = 0x100
)

// lineRate is the rate of everything that is not limited, in bytes/s: a
// terabit, beyond every link that a shaper may be put on. The speed that a link
// claims may be a lie, and a class at that rate would slow management.
const lineRate = 125e9

// Rates outside of these bounds are wrong input, in bytes/s.
const (
	minRate = 1000
	maxRate = lineRate / 10
)

// tokenBucket is how the rsync class treats a rate.
type tokenBucket struct {
	rate  uint64 // bytes/s
	burst uint32 // bytes that may pass back to back
}

const (
	// burstTime bounds what passes back to back, in seconds at the rate.
	// Behind a hop that is as slow, a burst is a queue: 12 kB at 98 of 100
	// Mbit/s showed 0.5 to 4 ms of delay at the 99th percentile, 3 kB 0.2 to
	// 0.5, and no less throughput.
	burstTime = 0.00025
	minBurst  = 2 * 1600
	minHz     = 100 // no kernel has a slower clock
)

// bucketFor turns a wanted rate into class parameters. hz is how often a second
// the kernel's packet scheduler can look at its clock: a burst must fill the
// time in between.
func bucketFor(rate, hz float64) (tokenBucket, error) {
	if math.IsNaN(rate) || rate < minRate || rate > maxRate {
		return tokenBucket{}, fmt.Errorf("rate of %g bytes/s is outside of %d to %g", rate, minRate, maxRate)
	}
	return tokenBucket{uint64(rate), uint32(max(rate*burstTime, rate/max(hz, minHz), minBurst))}, nil
}

const (
	// segmentBelow is the rate in bytes/s below which outgoing packets are cut
	// to the size of the link: TCP hands down up to 64 kB at once, which is
	// 5 ms on a hop of 100 Mbit/s, and half a millisecond at a gigabit.
	segmentBelow = 62.5e6
	// segmentMTU is the largest MTU in bytes to which cutting pays.
	segmentMTU = 9000
	// segmentRoom is what a frame may have beside its MTU: Ethernet header,
	// VLAN tags and some. A packet that does not fit would be dropped.
	segmentRoom = 200
	// segmentQueue is its length in bytes. TCP's own limit of what a socket may
	// have queued on this host (twice 64 kB) keeps it from ever filling.
	segmentQueue = 64 << 20
)

// segments says whether the packets of a class of this rate are to be cut.
func (s tokenBucket) segments(mtu int) bool {
	return s.rate < segmentBelow && mtu <= segmentMTU
}

// rateChanged says whether a new rate is worth a class change.
func rateChanged(now, want float64) bool {
	return math.Abs(want-now) > 0.01*now
}

// ifbName is the name of the ifb through which the incoming transfers of a link
// pass. IFNAMSIZ leaves 15 characters.
func ifbName(link int) string { return fmt.Sprintf("lifeln%x", uint32(link)) }

// ifbAddr is the hardware address that marks an ifb as ours: locally
// administered, "LIF" and the low bits of the link's index.
func ifbAddr(link int) [6]byte {
	return [6]byte{0x02, 'L', 'I', 'F', byte(link >> 8), byte(link)}
}

// flow is an incoming transfer as its packets carry it.
type flow struct{ local, remote netip.AddrPort }

// flowOf gives the addresses on the wire of a transfer's packets.
func flowOf(t *watchdog.Transfer) (flow, error) {
	l, r := plainAddr(t.Socket.Local), plainAddr(t.Socket.Remote)
	if !l.IsValid() || !r.IsValid() || l.Port() == 0 || r.Port() == 0 || l.Addr().Is4() != r.Addr().Is4() {
		return flow{}, fmt.Errorf("addresses of the socket are not known (%s, %s)", t.Socket.Local, t.Socket.Remote)
	}
	return flow{l, r}, nil
}

// plainAddr takes the clothes off an address: an IPv4 peer of an IPv6 socket, a zone.
func plainAddr(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// u32Match is one 32-bit comparison of a u32 filter, at an offset from the IP header.
type u32Match struct {
	off       int32
	mask, val uint32
}

// flowTable is one hash table of filters. A client has many transfers with one
// port at the far end, a server many with one port at the near end: hashed by
// the port that differs, no bucket grows long.
type flowTable struct {
	id     uint32 // 12 bits
	v6     bool
	remote bool // hashed by the remote port, else by the local one
}

var flowTables = []flowTable{
	{0x4c4, false, true}, {0x4c5, false, false},
	{0x4c6, true, true}, {0x4c7, true, false},
}

// tableOf is the table that a flow belongs into.
func tableOf(f flow) flowTable {
	v6, remote := f.local.Addr().Is6(), f.remote.Port() > f.local.Port()
	for _, t := range flowTables {
		if t.v6 == v6 && t.remote == remote {
			return t
		}
	}
	panic("unreachable: the four tables cover both families and both ends")
}

// Offsets in the IP header.
const (
	ports4 = 20 // of the TCP ports when there are no IP options
	ports6 = 40 // and no extension headers
)

func (t flowTable) prio() uint16 {
	if t.v6 {
		return filterPrio6
	}
	return filterPrio4
}

func (t flowTable) proto() uint16 {
	if t.v6 {
		return 0x86dd // ETH_P_IPV6
	}
	return 0x0800 // ETH_P_IP
}

// markTable holds, in its first bucket, a filter that matches nothing: while it
// is there, the qdisc is ours. A table alone would be no mark, for the kernel
// drops the tables when the last filter goes.
var markTable = flowTables[0]

// markMatch is IP version 15.
var markMatch = []u32Match{{0, 0xf0000000, 0xf0000000}}

func markHandle() uint32 { return filterHandle(markTable, 0, markNode) }

// handle is the table's own, root of the handles of its filters.
func (t flowTable) handle() uint32 { return t.id << 20 }

// entry are the comparisons that lead into the table: TCP without options and
// extension headers, not a fragment's tail. Others have their ports elsewhere
// or nowhere; a transfer of such packets counts none in its filter.
func (t flowTable) entry() []u32Match {
	if t.v6 {
		return []u32Match{{4, 0x0000ff00, 6 << 8}}
	}
	return []u32Match{{0, 0x0f000000, 5 << 24}, {4, 0x00001fff, 0}, {8, 0x00ff0000, 6 << 16}}
}

// hash is where the table's key is: offset and mask of the low byte of a port.
func (t flowTable) hash() (off int16, mask uint32) {
	off, mask = ports4, 0x000000ff
	if t.v6 {
		off = ports6
	}
	if t.remote {
		mask = 0x00ff0000 // an incoming packet's source
	}
	return off, mask
}

// bucket is the place of a flow in the table.
func (t flowTable) bucket(f flow) uint32 {
	if t.remote {
		return uint32(f.remote.Port() & 0xff)
	}
	return uint32(f.local.Port() & 0xff)
}

// matches are the comparisons that pick the packets of f and no others.
func (f flow) matches() []u32Match {
	ports := uint32(f.remote.Port())<<16 | uint32(f.local.Port())
	if f.local.Addr().Is4() {
		return append(addrMatches(12, f.remote.Addr(), f.local.Addr()), u32Match{ports4, 0xffffffff, ports})
	}
	return append(addrMatches(8, f.remote.Addr(), f.local.Addr()), u32Match{ports6, 0xffffffff, ports})
}

// addrMatches compares the addresses one after another, from an offset on.
func addrMatches(off int32, addrs ...netip.Addr) []u32Match {
	var out []u32Match
	for _, a := range addrs {
		for b := a.AsSlice(); len(b) > 0; b = b[4:] {
			out = append(out, u32Match{off, 0xffffffff, binary.BigEndian.Uint32(b)})
			off += 4
		}
	}
	return out
}

// filterHandle joins table, bucket and node as u32 does (TCA_U32_* handles,
// linux/pkt_cls.h: 12, 8 and 12 bits).
func filterHandle(t flowTable, bucket, node uint32) uint32 {
	return t.handle() | bucket<<12 | node
}

const (
	maxNode        = 0xfff // highest node number in one bucket
	markNode       = maxNode
	firstAutoTable = 0x800 // tables from here on were numbered by the kernel
)
