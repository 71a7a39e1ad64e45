package watchdog

import (
	"fmt"

	"lifeline/watchdog/control"
)

// Direction of bytes as this host sees them.
type Direction = control.Direction

// The two directions of a link.
const (
	Rx = control.Rx
	Tx = control.Tx
)

// Counters are one direction's totals since the link was made.
type Counters struct {
	Bytes, Packets uint64
	Errors         uint64 // rx_errors, tx_errors
	Dropped        uint64 // rx_dropped, tx_dropped
	FIFO           uint64 // rx_fifo_errors, tx_fifo_errors
	CRC            uint64 // rx_crc_errors; 0 for tx
	Missed         uint64 // rx_missed_errors; 0 for tx
	Frame          uint64 // rx_frame_errors; tx_carrier_errors for tx
}

// Rates are one direction's changes per second.
type Rates struct {
	Known   bool    `json:"known"` // false: first sample, reset, renamed or vanished link
	Bytes   float64 `json:"bytes"`
	Packets float64 `json:"packets"`
	Errors  float64 `json:"errors"` // all error counters
	Dropped float64 `json:"dropped"`
	Missed  float64 `json:"missed"` // missed and fifo: this host does not keep up
	CRC     float64 `json:"crc"`    // crc and frame: cable, NIC
}

// Link is one network interface at one moment.
type Link struct {
	Index          int          `json:"index"`
	Name           string       `json:"name"`
	Kind           string       `json:"kind"`            // "device" for hardware, else veth, bond, bridge ...
	Up             bool         `json:"up"`              // administratively
	Carrier        bool         `json:"carrier"`         // operstate up or unknown with IFF_LOWER_UP
	Speed          float64      `json:"speed"`           // bytes/s when believable; 0 when unknown
	CarrierChanges uint64       `json:"carrier_changes"` // since the link was made
	Lower          []int        `json:"lower,omitempty"` // physical links beneath (bond slaves, vlan parent, bridge ports)
	Counters       [2]Counters  `json:"-"`               // by Direction
	Rates          [2]Rates     `json:"rates"`           // by Direction
	Delay          [2]LinkDelay `json:"delay"`           // by Direction: passive evidence differs
	ShaperOK       [2]bool      `json:"shaper_ok"`       // by Direction: a shaper of ours can be had or stands
}

// LinkDelay is the queueing delay of a link: the minimum over its answering targets,
// or more by one that is judged by itself; else what the transfers' own TCP shows.
type LinkDelay = control.Delay

// LinkIndex finds links by index and walks down to the physical one.
type LinkIndex map[int]*Link

// NewLinkIndex makes the index of ls.
func NewLinkIndex(ls []Link) LinkIndex {
	x := make(LinkIndex, len(ls))
	for i := range ls {
		x[ls[i].Index] = &ls[i]
	}
	return x
}

// At is the link with that index; a zero one when it is not known.
func (x LinkIndex) At(index int) *Link {
	if l := x[index]; l != nil {
		return l
	}
	return &Link{}
}

// Physical is the lowest link beneath index: where several L3 links meet in
// one NIC they share its capacity, and what is seen on a VLAN or a bridge with one
// port concerns the NIC that carries it. A link with several lower ones (a bond, a
// bridge) is its own budget.
func (x LinkIndex) Physical(index int) int {
	for range len(x) { // bounded: a loop of links cannot hold us
		l, ok := x[index]
		if !ok || len(l.Lower) != 1 {
			return index
		}
		if _, ok := x[l.Lower[0]]; !ok {
			return index
		}
		index = l.Lower[0]
	}
	return index
}

// Mbit writes bytes/s as Mbit/s, the unit of links.
func Mbit(bytesPerSecond float64) string {
	return fmt.Sprintf("%.1f Mbit/s", bytesPerSecond*8/1e6)
}
