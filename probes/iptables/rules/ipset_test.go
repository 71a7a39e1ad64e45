package rules

import (
	"testing"

	"lifeline/probes/iptables/netfilter"
)

func TestIPSets(t *testing.T) {
	s, err := ParseIPSets("sets", []byte(`create nets hash:net family inet hashsize 1024 maxelem 65536 comment
add nets 10.0.0.0/8 comment "our own"
add nets 10.0.0.0/24 nomatch
create hosts hash:ip family inet6
add hosts 2001:db8::1
create range bitmap:ip range 192.0.2.0-192.0.2.255
add range 192.0.2.10-192.0.2.20
create both list:set size 8
add both range
create gone hash:ip timeout 60
create wide hash:ip netmask 24
ipset create old hash:ip
rename old new
-! create macs hash:mac
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		fam   netfilter.Family
		loads bool
		known bool
	}{
		{"nets", netfilter.IPv4, true, true}, {"nets", netfilter.IPv6, false, false}, {"hosts", netfilter.IPv6, true, true}, {"range", netfilter.IPv4, true, true},
		{"both", netfilter.IPv4, true, true}, {"gone", netfilter.IPv4, true, false}, {"wide", netfilter.IPv4, true, false}, {"new", netfilter.IPv4, true, false},
		{"old", netfilter.IPv4, false, false}, {"macs", netfilter.IPv6, true, false}, {"none", netfilter.IPv4, false, false},
	} {
		if err := s.refuses(c.name, c.fam); (err == nil) != c.loads {
			t.Errorf("%s for IPv%d: %v", c.name, c.fam, err)
		}
		if _, err := s.Addresses(c.name, 0); c.loads && (err == nil) != c.known {
			t.Errorf("%s: content %v", c.name, err)
		}
	}
	if _, err := ParseIPSets("sets", []byte("add none 10.0.0.1\n")); err == nil {
		t.Error("an entry of a set that does not exist passes")
	}
	if _, err := ParseIPSets("sets", []byte("frobnicate\n")); err == nil {
		t.Error("an unknown command passes")
	}
}
