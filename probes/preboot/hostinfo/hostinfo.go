package hostinfo

import (
	"net/netip"

	"lifeline/probes/iptables"
)

// Description is this machine, as far as the question goes.
type Description struct {
	Host iptables.Host
	// Transient are addresses that may not return after a reboot: temporary
	// IPv6 addresses, link-local ones.
	Transient map[netip.Addr]bool
	// Caveats are properties that nothing here models, by link, or by link
	// and "/6" where they concern IPv6 only; "" stands for all links.
	Caveats map[string][]iptables.Assumption
}

// Names of the caveats that a rehearsal can test.
const (
	// ByAdvertisement: an IPv6 address or route comes by router advertisement (RFC 4861).
	ByAdvertisement = "router-advertisement"
	// ByDHCP: an IPv6 address comes by DHCPv6 (RFC 8415).
	ByDHCP = "dhcpv6"
)

// SSHSessions is what is seen of ssh sessions now.
type SSHSessions struct {
	Sessions []Session
	Ports    []uint16 // local ones that they use
	// LeftOut tells of what looks like a session and is none, or may not be looked at.
	LeftOut []string
}

// Session is one ssh session of a person: no rsync runs in it.
type Session struct {
	Src   netip.Addr `json:"src"`
	Local netip.Addr `json:"local"`
	// User is the user id of who is logged in; empty where that is not known.
	User string `json:"user,omitempty"`
}
