package lab

import (
	"fmt"
	"time"
)

// Bottleneck says where the slow, deeply queued hop lies.
type Bottleneck int

// The places for the bottleneck; the package comment draws them.
const (
	AtUplink Bottleneck = iota
	AtServerLink
	BeyondGateway
)

// String names the place as benchmark tables do.
func (b Bottleneck) String() string {
	switch b {
	case AtUplink:
		return "uplink"
	case AtServerLink:
		return "server-link"
	case BeyondGateway:
		return "beyond-gateway"
	}
	return fmt.Sprintf("Bottleneck(%d)", int(b))
}

// Gateway says whether srv has a default route and how its router treats
// pings that are addressed to the router itself.
type Gateway int

// The gateway's manners. NoGateway with BeyondGateway means GatewayAnswers.
const (
	NoGateway Gateway = iota
	GatewayAnswers
	GatewayDrops
	GatewayDelays
)

// String names the gateway's manners in plain words.
func (g Gateway) String() string {
	switch g {
	case NoGateway:
		return "none"
	case GatewayAnswers:
		return "answers"
	case GatewayDrops:
		return "drops"
	case GatewayDelays:
		return "delays"
	}
	return fmt.Sprintf("Gateway(%d)", int(g))
}

// Options describe a lab. The zero value is the incident's network: 100 Mbit/s
// at the uplink with a 2 MB queue and cubic senders.
type Options struct {
	Bottleneck Bottleneck
	Rate       uint64        // of the bottleneck, bits/s; 0 is 100e6
	Queue      uint32        // of the bottleneck in each direction, bytes; 0 is 2,000,000
	BaseRTT    time.Duration // added by the cable at the bottleneck; 0 is none
	CC         string        // TCP congestion control of srv, cli and mgmt; "" is cubic
	IPv6       bool          // give hosts IPv6 addresses too; else IPv6 is switched off

	Gateway      Gateway
	GatewayDelay time.Duration // of a GatewayDelays echo; 0 is 50 ms

	SSHPort       int           // of srv's sshd; 0 is 22
	RsyncdTimeout time.Duration // srv's `timeout` in whole seconds; 0 is none

	// SendBuffer is what cli's connections may hold of data to send before the kernel
	// grows it with the congestion window, bytes (the second number of tcp_wmem); 0 is
	// the kernel's, 16 KB. OpenSSH 9.2 copies up to 2 MB for each piece that it writes,
	// and with small windows pieces are small: one client has a core for that, 16 of
	// them here have not.
	SendBuffer int

	Files    int   // number of source files per transfer; 0 is 4
	FileSize int64 // of each source file, bytes; 0 is 64 MiB
	// Sparse makes the source files holes (zeros that take no memory) and makes
	// holes again of what is received, so that transfers can go on for as long as
	// they should.
	Sparse  bool
	DataDir string // parent of the lab's directory, not swept; "" is tmpfs if it has room
}

// maxSendBuffer is the kernel's default for the largest (tcp_wmem), bytes.
const maxSendBuffer = 4 << 20

// withDefaults fills in what was left zero and refuses what cannot be built.
func (o Options) withDefaults() (Options, error) {
	setDefault(&o.Rate, 100e6)
	setDefault(&o.Queue, 2_000_000)
	setDefault(&o.CC, "cubic")
	setDefault(&o.GatewayDelay, 50*time.Millisecond)
	setDefault(&o.SSHPort, 22)
	setDefault(&o.Files, 4)
	setDefault(&o.FileSize, 64<<20)
	if o.Bottleneck == BeyondGateway {
		setDefault(&o.Gateway, GatewayAnswers)
	}
	return o, o.check()
}

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (o Options) check() error {
	switch {
	case o.Bottleneck < AtUplink || o.Bottleneck > BeyondGateway:
		return fmt.Errorf("lab: unknown bottleneck %v", o.Bottleneck)
	case o.Gateway < NoGateway || o.Gateway > GatewayDelays:
		return fmt.Errorf("lab: unknown gateway behaviour %v", o.Gateway)
	case o.Rate < 64_000:
		return fmt.Errorf("lab: rate %d bits/s is below 64 kbit/s", o.Rate)
	case o.Queue < 3000:
		return fmt.Errorf("lab: queue of %d bytes holds less than two packets", o.Queue)
	case o.BaseRTT < 0 || o.BaseRTT > time.Second:
		return fmt.Errorf("lab: base RTT %v is not within 0..1 s", o.BaseRTT)
	case o.BaseRTT > 0 && o.Rate > 1e9:
		return fmt.Errorf("lab: a base RTT is feasible up to 1 Gbit/s, not %d bits/s", o.Rate)
	case o.SSHPort < 1 || o.SSHPort > 65535:
		return fmt.Errorf("lab: ssh port %d", o.SSHPort)
	case o.SendBuffer < 0 || o.SendBuffer > maxSendBuffer:
		return fmt.Errorf("lab: send buffer of %d bytes is not within 0..%d", o.SendBuffer, maxSendBuffer)
	case o.Files < 0 || o.FileSize < 0:
		return fmt.Errorf("lab: %d files of %d bytes", o.Files, o.FileSize)
	case o.RsyncdTimeout < 0 || o.RsyncdTimeout%time.Second != 0:
		return fmt.Errorf("lab: rsyncd timeout %v is not in whole seconds", o.RsyncdTimeout)
	}
	return nil
}
