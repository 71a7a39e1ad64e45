package iptables

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lifeline/probes/iptables/rulegen"
	"lifeline/probes/iptables/rules"
)

// TestReadingIsNotQuadratic: twice as long a file takes about twice as long, also
// where each line goes through what the lines before it made. 16 times the size would
// take 256 times as long; 100 leaves room for what else the machine does.
func TestReadingIsNotQuadratic(t *testing.T) {
	q := Question{Family: IPv4, Backend: NFT, Iface: "eth0", Dst: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Ports: []uint16{22},
		Mgmt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	rules := func(text string) Inputs { return Inputs{Rules: []File{{Name: "rules", Text: []byte(text)}}} }
	nft := func(text string) Inputs { return Inputs{NFT: []File{{Name: "nft", Text: []byte(text)}}} }
	for name, make := range map[string]func(n int) Inputs{
		"chains made and deleted": func(n int) Inputs {
			return rules("*filter\n" + rulegen.Numbered(n, ":c%d - [0:0]\n") + rulegen.Numbered(n, "-X c%d\n") + "COMMIT\n")
		},
		"chains renamed": func(n int) Inputs {
			return rules("*filter\n:a - [0:0]\n" + rulegen.Numbered(n, "-A INPUT -p tcp --dport %d -j a\n") + strings.Repeat("-E a b\n-E b a\n", n) + "COMMIT\n")
		},
		"rules put in front": func(n int) Inputs {
			return rules("*filter\n" + strings.Repeat("-I FORWARD -j ACCEPT\n", 4*n) + "COMMIT\n")
		},
		"rules deleted from the front": func(n int) Inputs {
			return rules("*filter\n" + strings.Repeat("-A FORWARD -j ACCEPT\n", 4*n) + strings.Repeat("-D FORWARD 1\n", 4*n) + "COMMIT\n")
		},
		"rules deleted by what they say": func(n int) Inputs {
			return rules("*filter\n" + rulegen.Numbered(n, "-A FORWARD -s 10.0.0.1 -m mark --mark %d -j ACCEPT\n") + strings.Repeat("-A FORWARD -j DROP\n-D FORWARD -j DROP\n", n) + "COMMIT\n")
		},
		"counters set to nothing": func(n int) Inputs {
			return rules("*filter\n" + rulegen.Numbered(n, ":c%d - [0:0]\n") + strings.Repeat("-Z\n", n) + "COMMIT\n")
		},
		"all flushed": func(n int) Inputs {
			return rules("*filter\n" + rulegen.Numbered(n, ":c%d - [0:0]\n") + strings.Repeat("-F\n", n) + "COMMIT\n")
		},
		"nft chains": func(n int) Inputs { return nft("table ip t {\n" + rulegen.Numbered(8*n, "chain c%d { }\n") + "}\n") },
		"nft chains deleted": func(n int) Inputs {
			return nft(rulegen.Numbered(4*n, "add chain ip t c%d\n") + rulegen.Numbered(4*n, "delete chain ip t c%d\n"))
		},
		"nft jumps": func(n int) Inputs {
			return nft("table ip t {\nchain x { " + strings.Repeat("ip saddr 1.1.1.1 accept\n", n) + "}\n" +
				rulegen.Numbered(n, "chain c%d { type filter hook input priority 0; jump x\n}\n") + "}\n")
		},
		"nft chains beside rules": func(n int) Inputs {
			in := rules("*filter\n" + strings.Repeat("-A FORWARD -j ACCEPT\n", n) + "COMMIT\n")
			in.NFT = nft("table ip filter {\n" + rulegen.Numbered(n, "chain c%d { accept\n}\n") + "}\n").NFT
			return in
		},
		"a set in each rule": func(n int) Inputs {
			in := rules("*filter\n" + strings.Repeat("-A INPUT -m set --match-set s src -j ACCEPT\n", n) + "COMMIT\n")
			in.IPSets = &File{Name: "sets", Text: []byte("create s hash:ip\n" + rulegen.Numbered(n, "add s 172.16.0.%d\n"))}
			return in
		},
		"sets flushed": func(n int) Inputs {
			return Inputs{IPSets: &File{Name: "sets", Text: []byte(rulegen.Numbered(n, "create s%d hash:ip\n") + strings.Repeat("flush\n", n))}}
		},
		"lists of lists": func(n int) Inputs {
			var b strings.Builder
			for l := range 9 {
				fmt.Fprintf(&b, "create l%d list:set\n", l)
				for range n / 100 {
					fmt.Fprintf(&b, "add l%d l%d\n", l, l+1)
				}
			}
			in := rules("*filter\n-A INPUT -m set --match-set l0 src -j ACCEPT\nCOMMIT\n")
			in.IPSets = &File{Name: "sets", Text: []byte(b.String())}
			return in
		},
	} {
		t.Run(name, func(t *testing.T) {
			took := func(n, times int) (least time.Duration) {
				in := make(n)
				for i := range times {
					start := time.Now()
					Analyse(q, in)
					if d := time.Since(start); i == 0 || d < least {
						least = d
					}
				}
				return least
			}
			small, large := took(2000, 3), took(32000, 1)
			if t.Logf("%v, %v", small, large); large > 100*max(small, 10*time.Millisecond) {
				t.Errorf("16 times the size takes %.0f times as long: %v after %v", float64(large)/float64(small), large, small)
			}
		})
	}
}

// TestTooMuchWorkIsUnknown: a file that is not followed to its end is no answer.
func TestTooMuchWorkIsUnknown(t *testing.T) {
	q := Question{Family: IPv4, Backend: NFT, Iface: "eth0", Dst: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Ports: []uint16{22},
		Mgmt: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	text := "*filter\n" + rulegen.Numbered(4000, ":c%d - [0:0]\n") + strings.Repeat("-Z\n", 4000) + "COMMIT\n"
	for _, told := range []Told{{}, {Load: LoadOK}} {
		r := Analyse(q, Inputs{Rules: []File{{Name: "rules", Text: []byte(text), Told: told}}})
		if r.Verdict != Conditional || !strings.Contains(fmt.Sprint(r.Assumptions, r.LoadError), "write it as iptables-save does") {
			t.Errorf("%+v: %s: %v, %s", told, r.Verdict, r.Assumptions, r.LoadError)
		}
	}
	if _, err := rules.ParseIPSets("sets", []byte(rulegen.Numbered(4000, "create s%d hash:ip\n")+strings.Repeat("flush\n", 4000))); err == nil || !strings.Contains(err.Error(), "write the file as ipset save does") {
		t.Errorf("%v", err)
	}
}
