package preboot

import (
	"net/netip"
	"time"

	"lifeline/probes/iptables"
)

// The rehearsal runs in a child process that owns its namespaces. Parent and
// child talk JSON over pipes: one scene, answered by what the tools said, then
// any number of traffics, each answered by what became of the connections.
// The child ends when its standard input does.

// scene is what the child builds and loads before any packet is sent.
type scene struct {
	Links []sceneLink `json:"links"`
	// Routes are the routes of the mirrored machine beyond its connected ones.
	Routes   []sceneRoute `json:"routes"`
	RPFilter int          `json:"rp_filter"`
	// Files appear in the tools' root under their names: what an nft file
	// includes.
	Files []sceneFile `json:"files"`
	Loads []load      `json:"loads"`
	// Deadline bounds each tool.
	Deadline time.Duration `json:"deadline"`
}

type sceneLink struct {
	Name      string         `json:"name"`
	Addresses []netip.Prefix `json:"addresses"`
	// Gateways are the addresses that the other end answers for, at most one
	// per family.
	Gateways []netip.Addr `json:"gateways"`
}

type sceneRoute struct {
	Dst  netip.Prefix `json:"dst"`
	Link string       `json:"link"`
	// Via is the gateway, invalid for an on-link route.
	Via netip.Addr `json:"via"`
}

type sceneFile struct {
	Path string `json:"path"`
	Text []byte `json:"text"`
	// times is how often it is included.
	times int
}

// load is one run of a tool, with a file on its standard input.
type load struct {
	// Tools are the commands that can do it, in order of preference.
	Tools []loadTool `json:"tools"`
	Input []byte     `json:"input"`
	// Whole, where not empty, is the file of which Input leaves something
	// out: the tool must accept it too, without loading it (--test).
	Whole []byte `json:"whole,omitempty"`
}

type loadTool struct {
	Argv []string `json:"argv"`
	// Version, where not empty, must stand in the output of `Argv[0]
	// --version`: plain iptables-restore may belong to either back end.
	Version string `json:"version,omitempty"`
}

// loaded is what became of a load.
type loaded struct {
	// Tool is the command that ran; empty if none is installed.
	Tool string `json:"tool"`
	// Code is its exit code, -1 where it did not end by itself.
	Code   int    `json:"code"`
	Stderr string `json:"stderr"`
	// Err says why the tool could not be run or had to be killed.
	Err string `json:"err,omitempty"`
}

// sceneReply answers a scene.
type sceneReply struct {
	// Err says why there is no scene; Loads is empty then.
	Err   string   `json:"err,omitempty"`
	Loads []loaded `json:"loads"`
}

// traffic is a set of connections that are tried at the same time.
type traffic struct {
	// Listen are the TCP ports that the mirrored machine listens on.
	Listen []uint16     `json:"listen"`
	Tries  []connection `json:"tries"`
	// Timeout bounds each stage of a connection that makes no progress.
	Timeout time.Duration `json:"timeout"`
}

// connection is one TCP connection to try.
type connection struct {
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

// renewal asks whether a link's IPv6 address and route can be renewed: by
// router advertisement, and by DHCPv6 if that is set.
type renewal struct {
	Link string `json:"link"`
	DHCP bool   `json:"dhcp"`
	// Deadline is how long the machine may take to act on a packet.
	Deadline time.Duration `json:"deadline"`
}

// renewed answers a renewal.
type renewed struct {
	Err        string `json:"err,omitempty"`
	Advertised bool   `json:"advertised"`
	Leased     bool   `json:"leased"`
}

// message is what the parent sends: one of its fields is set.
type message struct {
	Scene   *scene   `json:"scene,omitempty"`
	Traffic *traffic `json:"traffic,omitempty"`
	Renewal *renewal `json:"renewal,omitempty"`
}

// restoreTools are the commands that load a rule file of one family.
func restoreTools(b iptables.Backend, f iptables.Family) []loadTool {
	base := "iptables"
	if f == iptables.IPv6 {
		base = "ip6tables"
	}
	version := "(nf_tables)"
	if b == iptables.Legacy {
		version = "(legacy)"
	}
	return []loadTool{
		{Argv: []string{base + "-" + string(b) + "-restore"}},
		{Argv: []string{base + "-restore"}, Version: version},
	}
}
