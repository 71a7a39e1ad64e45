package path

import (
	"net/netip"
	"slices"
	"time"
)

// Memory is what is worth knowing after a restart.
type Memory struct {
	Bases []BaseMemory `json:"bases"`
	Peers []Peer       `json:"peers"` // newest first
}

// BaseMemory is the RTT of an empty path. It holds for the same target by the
// same way only.
type BaseMemory struct {
	Target netip.Addr    `json:"target"`
	Way    Way           `json:"way"`
	Base   time.Duration `json:"base"`
	Queues bool          `json:"queues"`         // a gateway that was seen to show queueing
	Apart  bool          `json:"apart,omitzero"` // its queue was beyond that of the link's other targets
	Learnt time.Time     `json:"learnt"`
}

// Way is how packets leave for a target. The link's name stands for the link,
// as an index does not outlive a reboot.
type Way struct {
	Link    string     `json:"link"`
	Gateway netip.Addr `json:"gateway,omitzero"` // the zero Addr when the target is on the link
	MAC     string     `json:"mac,omitempty"`    // of the gateway, or of the target; empty when unknown
}

// same tells whether nothing speaks against a being b: a neighbour that is not
// resolved at the moment has no MAC.
func (a Way) same(b Way) bool {
	return a.Link == b.Link && a.Gateway == b.Gateway && (a.MAC == b.MAC || a.MAC == "" || b.MAC == "")
}

// Store keeps a Memory on disk. Save must not block for long; a lost one costs
// a base that is learnt again.
type Store interface {
	Load() (Memory, error)
	Save(Memory)
}

const (
	mostBases = 64
	keepBase  = 30 * 24 * time.Hour
)

// find gives the remembered base of target by way, if it is not too old.
func (m *Memory) find(target netip.Addr, way Way, now time.Time) (BaseMemory, bool) {
	for _, b := range m.Bases {
		if b.Target == target && b.Way.same(way) && b.Base > 0 && now.Sub(b.Learnt) < keepBase {
			return b, true
		}
	}
	return BaseMemory{}, false
}

// put stores b in place of what was known of the same target and way, and
// drops the oldest when there are too many.
func (m *Memory) put(b BaseMemory) {
	m.Bases = slices.DeleteFunc(m.Bases, func(o BaseMemory) bool { return o.Target == b.Target && o.Way.same(b.Way) })
	m.Bases = slices.Insert(m.Bases, 0, b)
	m.Bases = m.Bases[:min(len(m.Bases), mostBases)]
}

// clone shares nothing with m.
func (m *Memory) clone() Memory {
	return Memory{Bases: slices.Clone(m.Bases), Peers: slices.Clone(m.Peers)}
}
