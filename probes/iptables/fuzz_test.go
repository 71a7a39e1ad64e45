package iptables

import (
	"math/rand/v2"
	"net/netip"
	"testing"
)

// seeds are files to begin fuzzing with.
func seeds(f *testing.F) {
	for i := range 30 {
		p, _ := oracleProfile([]Family{IPv4, IPv6}[i%2])
		p.Uncertain, p.Broken = true, i%3 == 0
		f.Add([]byte(p.File(rand.New(rand.NewPCG(1, uint64(i))))), byte(i))
	}
	for _, s := range []string{"", "*filter\nCOMMIT", "\xef\xbb\xbf*filter\nCOMMIT\n", "*filter\n-A INPUT --dport\nCOMMIT\n", "*filter\n-A INPUT \"",
		"*filter\n-A INPUT -p tcp --tcp-flags\nCOMMIT\n", "*filter\n[\n", "*filter\n[:]\n", "*filter\n\x00COMMIT\n", "*filter\n: \n",
		"*filter\n-A INPUT -m x --y z -j Q --w\nCOMMIT\n", "*nat\n-A PREROUTING -p tcp -j DNAT --to-destination [\nCOMMIT\n",
		"*filter\n-E INPUT x\n-D INPUT\n-R INPUT\nCOMMIT\n", "*filter\n-A INPUT -m set --match-set a src\nCOMMIT\n"} {
		f.Add([]byte(s), byte(0))
	}
}

// FuzzParse reads any bytes: no panic, no endless loop, and errors that point
// into the file.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte, how byte) {
		opts := ParseOptions{Family: []Family{IPv4, IPv6}[how&1], Backend: []Backend{NFT, Legacy}[how>>1&1], NoFlush: how&4 != 0}
		set, err := Parse("f", text, opts)
		if set == nil {
			t.Fatal("no ruleset")
		}
		if (err != nil) != (set.Load == LoadFails) || err != nil && (set.Err == nil || set.Err.Line < 1 || set.Err.Column < 0) {
			t.Fatalf("load %s, error %v", set.Load, err)
		}
		// What is loaded on top must not panic either.
		opts.NoFlush, opts.Before = true, set.Tables(0)
		Parse("again", text, opts)
	})
}

// FuzzAnalyse answers a question about any bytes: the verdict is always one of
// the three, and Allowed never stands beside a file that does not load.
func FuzzAnalyse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, text []byte, how byte) {
		_, q := oracleProfile([]Family{IPv4, IPv6}[how&1])
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
