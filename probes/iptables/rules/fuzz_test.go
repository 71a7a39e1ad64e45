package rules

import (
	"testing"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/rulegen"
)

// FuzzParse reads any bytes: no panic, no endless loop, and errors that point
// into the file.
func FuzzParse(f *testing.F) {
	for _, s := range rulegen.FuzzSeeds() {
		f.Add(s.Text, s.How)
	}
	f.Fuzz(func(t *testing.T, text []byte, how byte) {
		opts := ParseOptions{Family: []netfilter.Family{netfilter.IPv4, netfilter.IPv6}[how&1], Backend: []netfilter.Backend{netfilter.NFT, netfilter.Legacy}[how>>1&1], NoFlush: how&4 != 0}
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
