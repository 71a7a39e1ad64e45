package rulegen

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
)

// Example is a profile of one family: a machine at 192.0.2.10 or 2001:db8:1::10 on
// eth0, with management sources on its network and elsewhere.
func Example(family int) Profile {
	p := Profile{Family: family, Iface: "eth0", Other: "eth1", Ports: []uint16{22, 2022}}
	if family == 6 {
		p.Dst = []netip.Addr{netip.MustParseAddr("2001:db8:1::10")}
		p.Mgmt = []netip.Prefix{netip.MustParsePrefix("2001:db8:9::/64"), netip.MustParsePrefix("2001:db8:1::/64")}
		return p
	}
	p.Dst = []netip.Addr{netip.MustParseAddr("192.0.2.10")}
	p.Mgmt = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16"), netip.MustParsePrefix("172.16.5.0/24"), netip.MustParsePrefix("192.0.2.0/25")}
	return p
}

// ExampleNetwork is the network of Example's machine, with its address.
func ExampleNetwork(family int) netip.Prefix {
	if family == 6 {
		return netip.MustParsePrefix("2001:db8:1::10/64")
	}
	return netip.MustParsePrefix("192.0.2.10/24")
}

// FuzzSeed is a rules file to begin fuzzing with, and a byte that picks how it is read.
type FuzzSeed struct {
	Text []byte
	How  byte
}

// FuzzSeeds are random files, some broken, and short ones that end in odd places.
func FuzzSeeds() (out []FuzzSeed) {
	for i := range 30 {
		p := Example([]int{4, 6}[i%2])
		p.Uncertain, p.Broken = true, i%3 == 0
		out = append(out, FuzzSeed{[]byte(p.File(rand.New(rand.NewPCG(1, uint64(i))))), byte(i)})
	}
	for _, s := range []string{"", "*filter\nCOMMIT", "\xef\xbb\xbf*filter\nCOMMIT\n", "*filter\n-A INPUT --dport\nCOMMIT\n", "*filter\n-A INPUT \"",
		"*filter\n-A INPUT -p tcp --tcp-flags\nCOMMIT\n", "*filter\n[\n", "*filter\n[:]\n", "*filter\n\x00COMMIT\n", "*filter\n: \n",
		"*filter\n-A INPUT -m x --y z -j Q --w\nCOMMIT\n", "*nat\n-A PREROUTING -p tcp -j DNAT --to-destination [\nCOMMIT\n",
		"*filter\n-E INPUT x\n-D INPUT\n-R INPUT\nCOMMIT\n", "*filter\n-A INPUT -m set --match-set a src\nCOMMIT\n"} {
		out = append(out, FuzzSeed{[]byte(s), 0})
	}
	return out
}

// Numbered writes a format n times, with the numbers from 0 on.
func Numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
