package iptables

import (
	"net/netip"
	"testing"

	"lifeline/probes/iptables/rulegen"
)

// FuzzAnalyse answers a question about any bytes: the verdict is always one of
// the three, and Allowed never stands beside a file that does not load.
func FuzzAnalyse(f *testing.F) {
	for _, s := range rulegen.FuzzSeeds() {
		f.Add(s.Text, s.How)
	}
	f.Fuzz(func(t *testing.T, text []byte, how byte) {
		q := exampleQuestion([]Family{IPv4, IPv6}[how&1])
		q.Backend = []Backend{NFT, Legacy}[how>>1&1]
		file := File{Name: "f", Text: text}
		in := Inputs{Rules: []File{file}}
		switch how >> 2 & 7 {
		case 1:
			in.Other = []File{file}
		case 2:
			in.IPSets = &file
		case 3:
			in.NFT = []File{file}
		case 4:
			in.ARP = &file
		}
		r := Analyse(q, in)
		switch r.Verdict {
		case Allowed:
			if r.Load != LoadOK || len(r.Assumptions) > 0 {
				t.Fatalf("allowed, load %s, assumptions %v", r.Load, r.Assumptions)
			}
		case Blocked:
			if r.Counterexample == nil || r.Scope == ScopeNone {
				t.Fatalf("blocked without an example: %+v", r)
			}
		case Conditional:
			if len(r.Assumptions) == 0 {
				t.Fatal("conditional on nothing")
			}
		default:
			t.Fatalf("verdict %q", r.Verdict)
		}
	})
}

// FuzzHost reads any bytes as a host description.
func FuzzHost(f *testing.F) {
	f.Add([]byte(`{"links":[{"name":"eth0","addresses":["192.0.2.10/24"]}],"routes":[{"dst":"default","link":"eth1"}],"rp_filter":1}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := DecodeHost("host.json", text)
		if err != nil {
			return
		}
		q := Question{Family: IPv4, Backend: NFT, Iface: "eth0", Dst: []netip.Addr{netip.MustParseAddr("192.0.2.10")},
			Ports: []uint16{22}, Mgmt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Host: h}
		Analyse(q, Inputs{})
	})
}

// exampleQuestion is the question that random files of rulegen.Example are about.
func exampleQuestion(f Family) Question {
	p := rulegen.Example(int(f))
	return Question{Family: f, Iface: p.Iface, Dst: p.Dst, Ports: p.Ports, Mgmt: p.Mgmt,
		Host: Host{Links: []Link{{Name: p.Iface, Addresses: []netip.Prefix{rulegen.ExampleNetwork(int(f))}}}}}
}
