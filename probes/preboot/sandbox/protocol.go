package sandbox

import (
	"net/netip"
	"time"
)

// The rehearsal runs in a child process that owns its namespaces. Parent and
// child talk JSON over pipes: one network, then any number of loads, answered by
// what the tools said, and of traffics, answered by what became of the connections.
// The child ends when its standard input does.

// Network is what the child builds before any tool runs.
type Network struct {
	Links []Link `json:"links"`
	// Routes are the routes of the mirrored machine beyond its connected ones.
	Routes []Route `json:"routes"`
	// RPFilter is net.ipv4.conf.*.rp_filter of the machine.
	RPFilter int `json:"rp_filter"`
	// Files appear in the tools' root under their names: what an nft file
	// includes.
	Files []File `json:"files"`
}

// Link is a link of the mirrored machine.
type Link struct {
	Name      string         `json:"name"`
	Addresses []netip.Prefix `json:"addresses"`
	// Gateways are the addresses that the other end answers for, at most one
	// per family.
	Gateways []netip.Addr `json:"gateways"`
}

// Route is a route of the mirrored machine.
type Route struct {
	Dst  netip.Prefix `json:"dst"`
	Link string       `json:"link"`
	// Via is the gateway, invalid for an on-link route.
	Via netip.Addr `json:"via"`
}

// File is a file that the tools see.
type File struct {
	Path string `json:"path"`
	Text []byte `json:"text"`
}

// loadOrder are runs of tools, one after the other.
type loadOrder struct {
	Loads []Load `json:"loads"`
	// Deadline bounds each of them.
	Deadline time.Duration `json:"deadline"`
}

// Load is one run of a tool, with a file on its standard input.
type Load struct {
	// Commands are the commands that can do it, in order of preference.
	Commands []Command `json:"tools"`
	Input    []byte    `json:"input"`
	// Whole, where not empty, is the file of which Input leaves something
	// out: the tool must accept it too, without loading it (--test).
	Whole []byte `json:"whole,omitempty"`
}

// Command is one way to run a tool.
type Command struct {
	Argv []string `json:"argv"`
	// Version, where not empty, must stand in the output of `Argv[0]
	// --version`: plain iptables-restore may belong to either back end.
	Version string `json:"version,omitempty"`
}

// LoadResult is what became of a load.
type LoadResult struct {
	// Tool is the command that ran; empty if none is installed.
	Tool string `json:"tool"`
	// Code is its exit code, -1 where it did not end by itself.
	Code   int    `json:"code"`
	Stderr string `json:"stderr"`
	// Err says why the tool could not be run or had to be killed.
	Err string `json:"err,omitempty"`
}

// networkReply answers a network; Err says why there is none.
type networkReply struct {
	Err string `json:"err,omitempty"`
}

// loadsReply answers loads, in their order.
type loadsReply struct {
	Results []LoadResult `json:"results"`
}

// Traffic is a set of connections that are tried at the same time.
type Traffic struct {
	// Listen are the TCP ports that the mirrored machine listens on.
	Listen []uint16     `json:"listen"`
	Tries  []Connection `json:"tries"`
	// Timeout bounds each stage of a connection that makes no progress.
	Timeout time.Duration `json:"timeout"`
}

// Connection is one TCP connection to try.
type Connection struct {
	Link  string     `json:"link"`
	Src   netip.Addr `json:"src"`
	SPort uint16     `json:"sport"`
	Dst   netip.Addr `json:"dst"`
	DPort uint16     `json:"dport"`
	// Neighbour is the link that the source is attached to; empty where it is
	// behind a gateway.
	Neighbour string `json:"neighbour"`
	// Narrow says that the way to the source leads over a hop of 1280 bytes.
	Narrow bool `json:"narrow"`
}

// trafficReply answers a traffic, in the order of its tries.
type trafficReply struct {
	Err     string    `json:"err,omitempty"`
	Results []Outcome `json:"results"`
}

// Renewal asks whether a link's IPv6 address and route can be renewed: by
// router advertisement, and by DHCPv6 if that is set.
type Renewal struct {
	Link string `json:"link"`
	DHCP bool   `json:"dhcp"`
	// Deadline is how long the machine may take to act on a packet.
	Deadline time.Duration `json:"deadline"`
}

// RenewalResult answers a renewal.
type RenewalResult struct {
	Err        string `json:"err,omitempty"`
	Advertised bool   `json:"advertised"`
	Leased     bool   `json:"leased"`
}

// request is what the parent sends: one of its fields is set.
type request struct {
	Network *Network   `json:"network,omitempty"`
	Loads   *loadOrder `json:"loads,omitempty"`
	Traffic *Traffic   `json:"traffic,omitempty"`
	Renewal *Renewal   `json:"renewal,omitempty"`
}
