// Package watchdog is the pure core of Lifeline: what was seen (Snapshot) goes
// into Engine.Step, what should be (Decision) comes out. Probes fill the
// Snapshot, remediation makes the kernel match the Decision; both sides use
// the types of this package and neither is imported by it.
package watchdog

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"lifeline/watchdog/control"
)

// Direction of bytes as this host sees them.
type Direction = control.Direction

// The two directions of a link.
const (
	Rx = control.Rx
	Tx = control.Tx
)

// ProcID names a process for its whole life: a pid alone may be reused.
type ProcID struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks since boot, field 22 of /proc/PID/stat (proc(5))
}

// String is "PID@START".
func (p ProcID) String() string { return fmt.Sprintf("%d@%d", p.PID, p.Start) }

// TransferID names a transfer for the life of its connection: "t" and the
// inode of its socket, or "p" and a pid where no socket could be found.
type TransferID string

// Via is how the two ends of an rsync talk.
type Via string

// The ways an rsync connects.
const (
	ViaDaemon       Via = "daemon"        // child of an rsync daemon on this host
	ViaDaemonClient Via = "daemon-client" // client of an rsync daemon elsewhere
	ViaSSHServer    Via = "ssh-server"    // rsync --server under sshd on this host
	ViaSSHClient    Via = "ssh-client"    // rsync whose ssh runs on this host
)

// Controllable says how far a transfer may be touched.
type Controllable string

// From everything to nothing.
const (
	ControlFull      Controllable = "full"       // limit and pause
	ControlLimitOnly Controllable = "limit-only" // client end, under sudo, or with a terminal: never stopped
	ControlPauseOnly Controllable = "pause-only" // its ssh connection carries a person too: never limited
	ControlNone      Controllable = "none"       // no socket found, or no permission
)

// FDRef is one place from which a socket can be duplicated.
type FDRef struct {
	Proc ProcID `json:"proc"`
	FD   int    `json:"fd"`
}

// Socket is the TCP connection of a transfer.
type Socket struct {
	Inode  uint64         `json:"inode"`            // of sockfs; re-checked after every duplicate
	Cookie uint64         `json:"cookie,omitempty"` // SO_COOKIE: no other socket ever has it in this boot; 0 when unknown
	Netns  uint64         `json:"netns"`            // inode of the network namespace that it belongs to
	Refs   []FDRef        `json:"refs"`             // who holds it, best first
	Local  netip.AddrPort `json:"local"`
	Remote netip.AddrPort `json:"remote"`
}

// TCP is what the kernel tells of a connection (struct tcp_info, linux/tcp.h).
type TCP struct {
	Known         bool          `json:"known"`
	RTT           time.Duration `json:"rtt"`
	MinRTT        time.Duration `json:"min_rtt"`
	MSS           int           `json:"mss"`            // bytes: advmss when receiving, snd_mss when sending
	RcvWscale     uint8         `json:"rcv_wscale"`     // the window scale that we announced
	BytesReceived uint64        `json:"bytes_received"` // tcpi_bytes_received
	BytesAcked    uint64        `json:"bytes_acked"`    // tcpi_bytes_acked
	Retrans       uint64        `json:"retrans"`        // tcpi_total_retrans
	DeliveryRate  uint64        `json:"delivery_rate"`  // bytes/s, tcpi_delivery_rate
	LastRecv      time.Duration `json:"last_recv"`      // since the last data segment came
	LastSend      time.Duration `json:"last_send"`      // since the last data segment went
	Unacked       uint32        `json:"unacked"`        // segments in flight
}

// File is the file that a transfer is at.
type File struct {
	Name string `json:"name,omitempty"`
	Pos  int64  `json:"pos"`  // bytes; -1 when unknown
	Size int64  `json:"size"` // bytes; -1 when unknown
}

// Transfer is all processes and the socket of one rsync connection.
type Transfer struct {
	ID        TransferID    `json:"id"`
	Direction Direction     `json:"direction"` // of the file data: Rx for a receiver, Tx for a sender
	Via       Via           `json:"via"`
	Procs     []ProcID      `json:"procs"`   // the rsync processes, oldest first
	Parents   []ProcID      `json:"parents"` // sudo, shells and the like between them and sshd or init
	Socket    Socket        `json:"socket"`
	Link      int           `json:"link"` // ifindex of the route to the peer; 0 when unknown
	Module    string        `json:"module,omitempty"`
	Path      string        `json:"path,omitempty"`
	File      File          `json:"file"`
	Bytes     uint64        `json:"bytes"` // moved in Direction since the connection began
	Rate      float64       `json:"rate"`  // bytes/s in Direction over about the last second
	TCP       TCP           `json:"tcp"`
	Age       time.Duration `json:"age"`
	Measured  time.Duration `json:"-"`       // Snapshot.Mono of when TCP and Bytes were read; 0 when never
	Timeout   time.Duration `json:"timeout"` // known shortest io timeout of the two ends; 0 is unknown, not none
	Control   Controllable  `json:"control"`
	Why       string        `json:"why,omitempty"`  // why Control is not full
	Idle      bool          `json:"idle,omitempty"` // has moved next to nothing for 5 s (12 s with data to send), and is not stopped
	Stopped   bool          `json:"stopped"`        // some process of it is in state T
	Foreign   bool          `json:"foreign"`        // in another network namespace than the daemon
}

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

// TargetWhy is how a probe target was found.
type TargetWhy string

// In order of worth.
const (
	TargetConfigured TargetWhy = "configured"
	TargetSession    TargetWhy = "ssh-session" // peer of a live ssh session without rsync
	TargetRemembered TargetWhy = "remembered"  // such a peer, earlier
	TargetGateway    TargetWhy = "gateway"
)

// Path is the way to one probe target.
type Path struct {
	Target    netip.Addr    `json:"target"`
	Why       TargetWhy     `json:"why"`
	Link      int           `json:"link"`       // ifindex of the route to it; 0 when unknown
	RTT       time.Duration `json:"rtt"`        // median of the last answered probes
	Recent    time.Duration `json:"recent"`     // median of the newest two or three alone; 0 when unknown
	RecentLag time.Duration `json:"recent_lag"` // how old Recent is
	Lag       time.Duration `json:"lag"`        // how old RTT is: half the span of its answers
	Base      time.Duration `json:"base"`       // learnt while idle; 0 when unknown
	Known     bool          `json:"known"`
	Delay     bool          `json:"delay"`           // may be used for queueing delay
	Unproven  bool          `json:"unproven"`        // a gateway that was not yet seen to queue: its delay yields to any other's
	Apart     bool          `json:"apart,omitempty"` // its queue was found to be beyond that of the link's other targets: it counts by itself
	// Contradicted says that it was late with our rate while no transfer met a queue: its delay does not count now.
	Contradicted bool          `json:"contradicted,omitempty"`
	Doubt        bool          `json:"doubt"`              // Base was first measured under load and may hold a queue: no delay is computed
	Overdue      bool          `json:"overdue"`            // requests wait for longer than answers usually take: RTT may be their age
	Learning     bool          `json:"learning,omitempty"` // Base will be known after a few answers more while idle
	Answered     bool          `json:"answered"`           // ever, in this run
	Silent       time.Duration `json:"silent"`             // since the last answer, while probes went unanswered; 0 when answering
	Loss         float64       `json:"loss"`               // ratio 0..1 of the last half minute; NaN when nothing is known, as of a target that never answered
}

// MarshalJSON writes an unknown loss as null: JSON has no NaN.
func (p Path) MarshalJSON() ([]byte, error) {
	type plain Path
	out := struct {
		plain
		Loss *float64 `json:"loss"`
	}{plain: plain(p)}
	if !math.IsNaN(p.Loss) {
		out.Loss = &p.Loss
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (p *Path) UnmarshalJSON(b []byte) error {
	type plain Path
	in := struct {
		*plain
		Loss *float64 `json:"loss"`
	}{plain: (*plain)(p)}
	if err := json.Unmarshal(b, &in); err != nil {
		return err
	}
	p.Loss = math.NaN()
	if in.Loss != nil {
		p.Loss = *in.Loss
	}
	return nil
}

// Queue is the queueing delay of the path: RTT minus base, at least zero.
func (p Path) Queue() time.Duration { return max(0, p.RTT-p.Base) }

// Softnet is the receive backlog of all CPUs, as rates (/proc/net/softnet_stat).
type Softnet struct {
	Known       bool    `json:"known"`
	Dropped     float64 `json:"dropped"`      // packets/s
	TimeSqueeze float64 `json:"time_squeeze"` // per second
}

// ProbeDescriptors names the probe of this process's own file descriptors, without
// which no other can look.
const ProbeDescriptors = "descriptors"

// ProbeError is a probe that could not look: unknown, never healthy.
type ProbeError struct {
	Probe string `json:"probe"`
	Err   string `json:"error"`
}

// Reboot is the latest answer to whether management gets in after a reboot.
type Reboot struct {
	Known   bool      `json:"known"`   // false: not asked yet
	Verdict string    `json:"verdict"` // safe, unsafe or unknown
	Reason  string    `json:"reason"`
	At      time.Time `json:"at"`
}

// Snapshot is one sample of everything.
type Snapshot struct {
	Mono      time.Duration `json:"mono"` // monotonic, from the daemon's start
	Wall      time.Time     `json:"wall"`
	Gap       bool          `json:"gap"` // suspend or clock jump since the last one
	Repeated  bool          `json:"-"`   // all but Paths is as the last one has it, and was not looked at
	Links     []Link        `json:"links"`
	Paths     []Path        `json:"paths"`
	Transfers []Transfer    `json:"transfers"`
	Softnet   Softnet       `json:"softnet"`
	Reboot    Reboot        `json:"reboot"`
	// Management is what the probes of management hosts say together.
	Management control.Reach `json:"management"`
	Errors     []ProbeError  `json:"errors,omitempty"`
}

// Blind tells whether that probe could not look.
func (s *Snapshot) Blind(probe string) bool {
	return slices.ContainsFunc(s.Errors, func(e ProbeError) bool { return e.Probe == probe })
}

// Limit is what is wanted for one transfer. The zero value is freedom.
type Limit struct {
	Window int64   `json:"window,omitempty"` // bytes of receive window; 0 for none
	Pacing float64 `json:"pacing,omitempty"` // bytes/s; 0 for none
	Shape  bool    `json:"shape,omitempty"`  // belongs in the class of its link's shaper
	Rate   float64 `json:"rate,omitempty"`   // bytes/s that an incoming transfer is held at by a class of its own; 0 for none
	Pause  bool    `json:"pause,omitempty"`  // should not run, apart from keepalive pulses
}

// ShaperKey names a shaper: one per link and direction.
type ShaperKey struct {
	Link      int // ifindex
	Direction Direction
}

// Desired is the whole state that remediation brings about. Transfers and
// links that are not named are free. Applying it twice is applying it once.
type Desired struct {
	Limits  map[TransferID]Limit
	Shapers map[ShaperKey]float64 // bytes/s for all transfers of that link and direction
	// SmallBursts asks that TCP hands down no more at once the shorter a path is.
	SmallBursts bool
}

// Outcome is what stands after Desired was applied.
type Outcome struct {
	Limits  map[TransferID]Limit  // in force
	Stopped map[TransferID]bool   // stopped at this moment (a pulse lets a paused one run)
	Shapers map[ShaperKey]float64 // in place
	Failed  []Failure
	Spent   []Spent // budgets of which anything is used
	// Unheld says why a transfer is not held at its Rate.
	Unheld map[TransferID]string
	// SmallBursts says that we hold the kernel's bursts small.
	SmallBursts bool
}

// Failure is one remedy that could not be applied or undone.
type Failure struct {
	Remedy string `json:"remedy"` // window, pacing, shaper, pause, small-bursts
	Target string `json:"target"` // transfer, link or host
	Err    string `json:"error"`
	// Instead is what does its work meanwhile; empty: nothing does.
	Instead string `json:"instead,omitempty"`
}

// Spent is what was used of a remedy's budget within the last hour.
type Spent struct {
	Remedy  string `json:"remedy"`
	Target  string `json:"target"` // transfer or link
	Used    int    `json:"used"`
	PerHour int    `json:"per_hour"`
}

// Capability is one mechanism that was tried at start-up.
type Capability struct {
	Name      string `json:"name"` // window, hold-buffer, pacing, priority, pause, shaper-egress, shaper-ingress, small-bursts, proc-connector, icmp
	Available bool   `json:"available"`
	Why       string `json:"why,omitempty"`  // the likely cause when it is not
	Left      string `json:"left,omitempty"` // what is used in its place
}
