package control

import (
	"net/netip"
	"time"
)

// Direction tells which way the bytes go, as this host sees it.
type Direction uint8

// The two directions of a link.
const (
	Rx Direction = iota // towards this host: rsync receivers
	Tx                  // away from this host: rsync senders
)

// String gives the kernel's word: "rx" or "tx".
func (d Direction) String() string {
	if d == Tx {
		return "tx"
	}
	return "rx"
}

// Flow is one transfer as the controller sees it.
type Flow struct {
	ID         string
	Rate       float64       // bytes/s, measured over about the last second
	Bytes      uint64        // moved in this direction so far: acknowledged when sending, arrived when receiving
	Remaining  int64         // bytes left of the current file; -1 when unknown
	Inflight   int64         // bytes sent and not yet acknowledged, when sending; 0 when unknown
	Age        time.Duration // since the connection was first seen
	Floor      int64         // bytes: the smallest window the kernel honours for it
	RTT        time.Duration // the connection's own smoothed RTT; 0 when unknown
	MinRTT     time.Duration // the connection's own minimum RTT; 0 when unknown
	Limitable  bool          // its socket can be reached
	Pausable   bool          // its processes may be stopped
	Shaped     bool          // it is in the shaper's class now
	Stopped    bool          // it is stopped now, by us
	Unenforced bool          // what the last step decided for it is not in force
	Stale      bool          // Bytes and Inflight are those of an earlier step
	Idle       bool          // it moves nothing, of itself: it takes no part of the budget
	Pinned     Pin           // an operator's own wish for this transfer
}

// Pin is what an operator asked for one transfer by hand.
type Pin struct {
	Pause bool    // keep it paused
	Rate  float64 // bytes/s, hold it at this rate; 0 for none
}

// Reach is what is known of management's way in.
type Reach uint8

// An unanswered question is Unknown, never Reachable.
const (
	ReachUnknown Reach = iota
	Reachable
	Unreachable
)

// String is the word that status and logs use.
func (r Reach) String() string {
	switch r {
	case Reachable:
		return "reachable"
	case Unreachable:
		return "unreachable"
	}
	return "unknown"
}

// Delay is the queueing delay of the link: RTT now minus base RTT.
type Delay struct {
	Queue   time.Duration // queueing delay, median of the last probes
	Base    time.Duration // RTT of the empty path
	From    netip.Addr    // the target that it is of; the zero Addr when it is of none
	Known   bool          // false: the probe is blind and Queue means nothing
	Passive bool          // from the transfers' own TCP, not from probes

	// Recent is the queueing delay by the newest two or three probes alone,
	// for the ramp, where a median of ten comes too late. Optional.
	Recent      time.Duration
	RecentKnown bool
	RecentLag   time.Duration // how old Recent is; 0 when unknown

	// Hint is what the senders' own smoothed RTT says at this moment, however
	// young they are. It is no proof, but it is there before any probe: a ramp
	// waits for the probes when it sees one. Optional.
	Hint      time.Duration
	HintKnown bool

	// Overdue says that requests have waited for longer than answers usually
	// take: Queue may then be their age, and nobody may be there to answer.
	Overdue bool

	// Retrans is what the transfers themselves send again, in segments/s.
	Retrans float64

	// Lag is how old Queue is: half the span of the probes that it is the
	// median of. 0 when unknown.
	Lag time.Duration
}

// Input is everything one step may look at.
type Input struct {
	Now        time.Duration // monotonic, from any fixed origin
	Gap        bool          // the clock jumped (suspend): rates since the last step mean nothing
	Rate       float64       // bytes/s of the link in this direction, all traffic
	RateKnown  bool          // false: counters reset, link new or gone
	Other      float64       // bytes/s of the link in the other direction, all traffic; 0 when unknown
	Capacity   float64       // bytes/s, from configuration or a believable speed; 0 when unknown
	Configured bool          // Capacity is the operator's word for the bottleneck, not a NIC's speed
	Learnt     float64       // bytes/s, capacity remembered from earlier runs; 0 when unknown
	Drops      float64       // packets/s dropped by this host in this direction
	Delay      Delay
	Management Reach // by what management hosts answer over this link
	Alone      bool  // who is silent is one session's peer at the most: nobody configured, nor the gateway
	Passes     bool  // a target over the link, the gateway included, answers about as fast as over an empty path
	Shaper     bool  // a shaper of ours can be had on this link and direction
	ShaperOn   bool  // it is in place now
	Flows      []Flow
}
