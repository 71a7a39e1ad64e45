package iptables

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"

	"lifeline/probes/iptables/netset"
)

// Host describes the machine that a Question is about: the JSON of
// `lifeline preboot --host FILE`. Every key is optional. The file names are
// relative to whoever reads them; this package never opens a file.
type Host struct {
	Links []Link `json:"links,omitempty"`
	// Routes is nil where nothing is known: then there is one default route
	// through the question's link, and management sits behind a gateway.
	// Not nil, even empty, it is the complete list.
	Routes []Route `json:"routes,omitzero"`
	// RPFilter is net.ipv4.conf.*.rp_filter of the management link: 0 off,
	// 1 strict, 2 loose.
	RPFilter int `json:"rp_filter,omitempty"`
	// Listen are the TCP ports, on all addresses or on one, on which the programs listen
	// that management connects to. Without it those that are asked about are listened on,
	// and of a translation to another one it is not known.
	Listen []Listener `json:"listen,omitempty"`
	// IPSets names a file as `ipset save` writes it, loaded before the rules.
	IPSets string `json:"ipsets,omitempty"`
	// NFT names native nftables files, loaded in this order after the rules.
	NFT []string `json:"nft,omitempty"`
	// Rules4OtherBackend names the IPv4 file that the other back end loads.
	Rules4OtherBackend string `json:"rules4_other_backend,omitempty"`
	// Rules6OtherBackend names the IPv6 file that the other back end loads.
	Rules6OtherBackend string `json:"rules6_other_backend,omitempty"`
	// ARPTables names a file as `arptables-save` writes it.
	ARPTables string `json:"arptables,omitempty"`
}

// Listener is a TCP port on which a program listens: in JSON a number for all addresses,
// or "ADDRESS:PORT". An address that is not valid stands for all.
type Listener struct{ netip.AddrPort }

// AddrPorts are the listener's address and port, for each family where it has none.
func (l Listener) AddrPorts() []netip.AddrPort {
	if l.Addr().IsValid() {
		return []netip.AddrPort{l.AddrPort}
	}
	return []netip.AddrPort{
		netip.AddrPortFrom(netip.IPv4Unspecified(), l.Port()), netip.AddrPortFrom(netip.IPv6Unspecified(), l.Port()),
	}
}

// UnmarshalJSON reads a port or an address with a port.
func (l *Listener) UnmarshalJSON(text []byte) error {
	var port uint16
	if err := json.Unmarshal(text, &port); err == nil && port > 0 {
		l.AddrPort = netip.AddrPortFrom(netip.Addr{}, port)
		return nil
	}
	var s string
	err := json.Unmarshal(text, &s)
	if err == nil {
		l.AddrPort, err = netip.ParseAddrPort(s)
	}
	if err != nil || l.Port() == 0 {
		return errors.New("listen: an entry is neither a port (22) nor an address with one (\"192.0.2.10:22\")")
	}
	return nil
}

// MarshalJSON writes what UnmarshalJSON reads.
func (l Listener) MarshalJSON() ([]byte, error) {
	if !l.Addr().IsValid() {
		return json.Marshal(l.Port())
	}
	return json.Marshal(l.AddrPort.String())
}

// Link is a network interface with its addresses.
type Link struct {
	Name string `json:"name"`
	// Addresses carry the prefix length of the attached network.
	Addresses []netip.Prefix `json:"addresses,omitempty"`
}

// Route sends a destination through a link.
type Route struct {
	// Dst is a prefix, an address, or "default" for both families.
	Dst  string `json:"dst"`
	Link string `json:"link"`
}

// Prefix is the destination of the route for one family; ok is false where
// the route belongs to the other family.
func (r Route) Prefix(f Family) (p netip.Prefix, ok bool) {
	if r.Dst == "default" {
		return netset.All(f), true
	}
	p, err := netset.ParsePrefix(r.Dst)
	return p, err == nil && f.Of(p.Addr())
}

// DecodeHost reads a Host from JSON, strictly: an unknown key, a wrong type or
// anything after the object is an error that names file, line and column.
func DecodeHost(name string, data []byte) (Host, error) {
	var h Host
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&h); err != nil {
		return Host{}, hostError(name, data, d.InputOffset(), err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Host{}, hostError(name, data, d.InputOffset(), errors.New("something follows the JSON object"))
	}
	if err := h.check(); err != nil {
		return Host{}, fmt.Errorf("%s: %w", name, err)
	}
	return h, nil
}

func hostError(name string, data []byte, off int64, err error) error {
	var syn *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syn):
		off = syn.Offset
		if strings.HasPrefix(err.Error(), "invalid character") { // which may be the first of a secret
			err = errors.New("invalid character: what stands here is not JSON (`lifeline preboot --describe-host` writes a description)")
		}
	case errors.As(err, &typ):
		off = typ.Offset
	}
	before := data[:min(int(off), len(data))]
	line := 1 + bytes.Count(before, []byte("\n"))
	col := len(before) - bytes.LastIndexByte(before, '\n')
	return fmt.Errorf("%s:%d:%d: host description: %w", name, line, col, err)
}

// What a description may hold: each link and address is made in the scratch
// namespace, and each route is looked at for each part of the sources.
const (
	maxHostLinks     = 4096
	maxHostAddresses = 4096 // of all links
	maxHostRoutes    = 4096
	maxRouteLinks    = 512 // that routes lead to
)

// checkSize refuses what no machine needs, and what would take minutes.
func (h Host) checkSize() error {
	addresses := 0
	for _, l := range h.Links {
		addresses += len(l.Addresses)
	}
	used := map[string]bool{}
	for _, r := range h.Routes {
		used[r.Link] = true
	}
	for _, c := range []struct {
		what      string
		n, most   int
		otherwise string
	}{
		{"links", len(h.Links), maxHostLinks, "leave out those that no route and no question needs"},
		{"addresses of links", addresses, maxHostAddresses, "leave out those that no management session connects to"},
		{"routes", len(h.Routes), maxHostRoutes, "leave out those that lead to no management source, or sum them up"},
		{"links that routes lead to", len(used), maxRouteLinks, "leave out routes that lead to no management source"},
	} {
		if c.n > c.most {
			return fmt.Errorf("%d %s are more than the %d that a description may have: %s", c.n, c.what, c.most, c.otherwise)
		}
	}
	return nil
}

// check finds values that are well-formed JSON but mean nothing.
func (h Host) check() error {
	if err := h.checkSize(); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, l := range h.Links {
		if l.Name == "" {
			return fmt.Errorf("links[%d]: name is missing", i)
		}
		if seen[l.Name] {
			return fmt.Errorf("links[%d]: link %q is listed twice", i, l.Name)
		}
		seen[l.Name] = true
		for j, a := range l.Addresses {
			if !a.IsValid() {
				return fmt.Errorf("links[%d]: link %q: addresses[%d] is not ADDRESS/LENGTH", i, l.Name, j)
			}
		}
	}
	for i, r := range h.Routes {
		if r.Link == "" {
			return fmt.Errorf("routes[%d]: link is missing", i)
		}
		if r.Dst == "default" {
			continue
		}
		if _, err := netset.ParsePrefix(r.Dst); err != nil {
			return fmt.Errorf("routes[%d]: dst %q is neither \"default\" nor a prefix nor an address", i, r.Dst)
		}
	}
	if h.RPFilter < 0 || h.RPFilter > 2 {
		return fmt.Errorf("rp_filter %d is not 0, 1 or 2", h.RPFilter)
	}
	return nil
}
