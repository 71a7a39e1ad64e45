package watchdog

import (
	"fmt"
	"net/netip"
	"time"
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
