package iptables

import (
	"net/netip"

	"lifeline/probes/iptables/flow"
)

// Question asks whether a machine can be managed over TCP: every source of
// Mgmt, from every source port a client uses, to every address of Dst and
// every port of Ports, arriving on Iface. The whole set is asked about, for
// one family and one back end. Entries of the other family are ignored, so
// the same lists can be used for both.
type Question struct {
	Family  Family
	Backend Backend
	// Iface is the link on which management arrives.
	Iface string
	// Dst are the local addresses that clients connect to.
	Dst []netip.Addr
	// Ports are the TCP ports that clients connect to.
	Ports []uint16
	// Mgmt are the management sources.
	Mgmt []netip.Prefix
	// Host describes the machine.
	Host Host
}

// ofFamily is the question without what belongs to the other family.
func (q Question) ofFamily() flow.Question {
	f := flow.Question{Family: q.Family, Iface: q.Iface, Ports: q.Ports, RPFilter: q.Host.RPFilter}
	for _, l := range q.Host.Listen {
		f.Listen = append(f.Listen, l.AddrPorts()...)
	}
	for _, d := range q.Dst {
		if q.Family.Of(d) {
			f.Dst = append(f.Dst, d)
		}
	}
	for _, p := range q.Mgmt {
		if q.Family.Of(p.Addr()) {
			f.Mgmt = append(f.Mgmt, p)
		}
	}
	for _, l := range q.Host.Links {
		x := flow.Link{Name: l.Name}
		for _, p := range l.Addresses {
			if q.Family.Of(p.Addr()) {
				x.Addresses = append(x.Addresses, p)
			}
		}
		f.Links = append(f.Links, x)
	}
	if q.Host.Routes != nil {
		f.Routes = []flow.Route{}
	}
	for _, r := range q.Host.Routes {
		if p, ok := r.Prefix(q.Family); ok {
			f.Routes = append(f.Routes, flow.Route{Dst: p, Link: r.Link})
		}
	}
	return f
}
