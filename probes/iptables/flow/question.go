package flow

import (
	"net/netip"

	"lifeline/probes/iptables/netfilter"
)

// Question is what an analysis decides: whether management flows get through. All
// addresses are of its family.
type Question struct {
	Family netfilter.Family
	// Iface is the link on which management arrives.
	Iface string
	// Dst and Ports are the local addresses and TCP ports that clients connect to.
	Dst   []netip.Addr
	Ports []uint16
	// Mgmt are the management sources.
	Mgmt []netip.Prefix
	// Links are the machine's links; none if they are not known.
	Links []Link
	// Routes are the machine's routes; nil if they are not known: then there is one
	// default route through Iface.
	Routes []Route
	// RPFilter is net.ipv4.conf.*.rp_filter of the management link: 0 off, 1 strict,
	// 2 loose.
	RPFilter int
	// Listen are the addresses and TCP ports on which programs listen that management
	// connects to, an unspecified address for all of its family. Where it is nil they are
	// not known, and the asked ports are taken to be listened on.
	Listen []netip.AddrPort
}

// Link is a network interface with its addresses, which carry the prefix length of
// the attached network.
type Link struct {
	Name      string
	Addresses []netip.Prefix
}

// Route sends a destination through a link.
type Route struct {
	Dst  netip.Prefix
	Link string
}

// Result is the answer to a flowQuestion.
type Result struct {
	Verdict Verdict
	Scope   Scope
	// Counterexample is a packet that is dropped, nil unless Blocked.
	Counterexample *netfilter.Packet
	// Trace is the way of the counter-example up to what drops it.
	Trace []netfilter.TraceStep
	// Assumptions are what a Conditional verdict depends on, each once.
	Assumptions []netfilter.Assumption
	// Probes are connections to try in a rehearsal.
	Probes []Probe
}
