package nic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"

	"lifeline/watchdog"
	"lifeline/watchdog/rtattr"
)

// Sizes and numbers of linux/netlink.h and linux/if_link.h.
const (
	nlHeader          = 16 // struct nlmsghdr
	statsHeader       = 12 // struct if_stats_msg
	statsLink64       = 1  // IFLA_STATS_LINK_64
	rtmNewStats       = 92 // RTM_NEWSTATS
	rtmGetStats       = 94 // RTM_GETSTATS
	nlmsgError        = 2
	nlmsgDone         = 3
	flagRequest       = 0x1
	flagDump          = 0x300
	flagDumpIntr      = 0x10
	minStats64        = 23 * 8 // struct rtnl_link_stats64 of the first kernel that had it
	statsRequest      = nlHeader + statsHeader
	filterLink64      = 1 << (statsLink64 - 1)
	afUnspec     byte = 0
)

var (
	errShort       = errors.New("message is cut short")
	errInterrupted = errors.New("dump was interrupted by a change of links")
)

var ne = binary.NativeEndian

// putStatsRequest writes a request for the counters of all links into b, which
// has statsRequest bytes.
func putStatsRequest(b []byte, seq uint32) {
	clear(b)
	ne.PutUint32(b[0:], statsRequest)
	ne.PutUint16(b[4:], rtmGetStats)
	ne.PutUint16(b[6:], flagRequest|flagDump)
	ne.PutUint32(b[8:], seq)
	b[nlHeader] = afUnspec
	ne.PutUint32(b[nlHeader+8:], filterLink64)
}

// parseStats appends the readings of one datagram to buf. done says that the
// dump with number seq is complete; messages of other dumps are passed over.
func parseStats(b []byte, seq uint32, buf []Reading) (_ []Reading, done bool, err error) {
	for len(b) >= nlHeader {
		size := int(ne.Uint32(b))
		if size < nlHeader || size > len(b) {
			return buf, false, errShort
		}
		msg := b[:size]
		b = b[min(align(size), len(b)):]
		if ne.Uint32(msg[8:]) != seq {
			continue
		}
		if ne.Uint16(msg[6:])&flagDumpIntr != 0 {
			return buf, false, errInterrupted
		}
		switch ne.Uint16(msg[4:]) {
		case nlmsgDone, nlmsgError:
			return buf, true, ended(msg[nlHeader:])
		case rtmNewStats:
			r, ok, err := parseReading(msg[nlHeader:])
			if err != nil {
				return buf, false, err
			}
			if ok {
				buf = append(buf, r)
			}
		}
	}
	return buf, false, nil
}

// ended reads the error number at the end of a dump; none is success.
func ended(payload []byte) error {
	if len(payload) < 4 {
		return nil // NLMSG_DONE of old kernels carries nothing
	}
	if errno := int32(ne.Uint32(payload)); errno < 0 {
		return syscall.Errno(-errno)
	}
	return nil
}

// parseReading reads a struct if_stats_msg and its attributes; ok is false
// when they carry no counters.
func parseReading(b []byte) (r Reading, ok bool, err error) {
	if len(b) < statsHeader {
		return r, false, errShort
	}
	r.Index = int(int32(ne.Uint32(b[4:])))
	stats, err := rtattr.Find(b[statsHeader:], statsLink64)
	switch {
	case err != nil:
		return r, false, fmt.Errorf("link %d: %w: %w", r.Index, errShort, err)
	case stats == nil:
		return r, false, nil
	case len(stats) < minStats64:
		return r, false, fmt.Errorf("link %d: counters: %w", r.Index, errShort)
	}
	parseCounters(stats, &r.Counters)
	return r, true, nil
}

// parseCounters reads struct rtnl_link_stats64 (linux/if_link.h).
func parseCounters(b []byte, c *[2]watchdog.Counters) {
	at := func(i int) uint64 { return ne.Uint64(b[8*i:]) }
	c[watchdog.Rx] = watchdog.Counters{
		Packets: at(0), Bytes: at(2), Errors: at(4), Dropped: at(6),
		CRC: at(12), Frame: at(13), FIFO: at(14), Missed: at(15),
	}
	c[watchdog.Tx] = watchdog.Counters{
		Packets: at(1), Bytes: at(3), Errors: at(5), Dropped: at(7),
		Frame: at(17), FIFO: at(18),
	}
}

// align rounds up to the four bytes of NLMSG_ALIGN.
func align(n int) int { return (n + 3) &^ 3 }
