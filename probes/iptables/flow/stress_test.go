package flow

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"lifeline/probes/iptables/netfilter"
	"lifeline/probes/iptables/rules"
)

// stressRules are rule files that split the packets in unkind ways.
func stressRules(kind string, n int) string {
	r := rand.New(rand.NewPCG(5, 6))
	var b strings.Builder
	head := ":INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n"
	tail := "-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"
	src := func() string { return fmt.Sprintf("10.%d.%d.%d", r.IntN(200), r.IntN(256), r.IntN(256)) }
	est := "-A INPUT -m state --state ESTABLISHED -j ACCEPT\n"
	switch kind {
	case "source ports":
		b.WriteString("*filter\n" + head + est)
		for i := range n {
			fmt.Fprintf(&b, "-A INPUT -p tcp -m tcp --sport %d -j DROP\n", 1+(i*7919)%65000)
		}
	case "limits by source":
		b.WriteString("*filter\n" + head + est)
		for i := range n {
			fmt.Fprintf(&b, "-A INPUT -s %s -m limit --limit 1/sec -j %s\n", src(), []string{"ACCEPT", "DROP"}[i%2])
		}
	case "limits":
		b.WriteString("*filter\n" + head + est)
		for i := range n {
			fmt.Fprintf(&b, "-A INPUT -m limit --limit 1/sec -j %s\n", []string{"ACCEPT", "DROP"}[i%2])
		}
	case "narrow jumps":
		b.WriteString("*filter\n" + head + ":C - [0:0]\n" + est)
		for range n {
			fmt.Fprintf(&b, "-A INPUT -s %s -j C\n", src())
		}
		for i := range 10 {
			fmt.Fprintf(&b, "-A C -s 10.%d.0.0/16 -p tcp --dport 22 -j DROP\n", i)
		}
	case "marks":
		b.WriteString("*mangle\n:PREROUTING ACCEPT [0:0]\n")
		for i := range n / 2 {
			fmt.Fprintf(&b, "-A PREROUTING -s %s -j MARK --set-mark %d\n", src(), i+1)
		}
		b.WriteString("COMMIT\n*filter\n" + head + est)
		for i := range n / 2 {
			fmt.Fprintf(&b, "-A INPUT -m mark --mark %d -j DROP\n", i+1)
		}
	case "limited jumps":
		b.WriteString("*filter\n" + head)
		for i := range n {
			fmt.Fprintf(&b, ":C%d - [0:0]\n", i)
		}
		b.WriteString(est + "-A INPUT -j C0\n")
		for i := range n - 1 {
			fmt.Fprintf(&b, "-A C%d -m limit --limit 1/sec -j C%d\n-A C%d -p tcp -j C%d\n", i, i+1, i, i+1)
			fmt.Fprintf(&b, "-A C%d -m limit --limit 1/sec -j MARK --or-mark %d\n", i, 1<<(i%32))
		}
	case "any and narrow":
		b.WriteString("*filter\n" + head + est)
		for i := range n / 2 {
			fmt.Fprintf(&b, "-A INPUT -s %s -j DROP\n-A INPUT -p tcp --sport %d -j DROP\n", src(), 1+(i*7919)%65000)
		}
	case "redirects":
		b.WriteString("*nat\n:PREROUTING ACCEPT [0:0]\n")
		for range n / 2 {
			fmt.Fprintf(&b, "-A PREROUTING -s %s -p tcp --dport 22 -j REDIRECT --to-ports %d\n", src(), 1+r.IntN(65000))
		}
		b.WriteString("COMMIT\n*filter\n" + head + est)
		for range n / 2 {
			fmt.Fprintf(&b, "-A INPUT -p tcp --dport %d -j DROP\n", 1+r.IntN(65000))
		}
	case "statelessly":
		b.WriteString("*filter\n" + head)
		for range n {
			fmt.Fprintf(&b, "-A INPUT -s %s -j DROP\n", src())
		}
	case "undecided marks":
		b.WriteString("*mangle\n:PREROUTING ACCEPT [0:0]\n")
		for i := range n / 2 {
			fmt.Fprintf(&b, "-A PREROUTING -s %s -m limit --limit 1/sec -j MARK --or-mark %d\n", src(), 1<<(i%32))
		}
		b.WriteString("COMMIT\n*filter\n" + head + est)
		for i := range n / 2 {
			fmt.Fprintf(&b, "-A INPUT -m mark --mark %d/%d -j DROP\n", 1<<(i%32), 1<<(i%32))
		}
	}
	return b.String() + tail
}

var stressKinds = []string{"source ports", "limits by source", "limits", "narrow jumps", "marks", "limited jumps",
	"any and narrow", "redirects", "statelessly", "undecided marks"}

// TestStressEnds runs unkind files: the analysis must end, and never say
// Allowed where it gave up.
func TestStressEnds(t *testing.T) {
	for _, kind := range stressKinds {
		t.Run(kind, func(t *testing.T) {
			n := 10_000
			if testing.Short() {
				n = 1_000
			}
			text := []byte(stressRules(kind, n))
			set, err := rules.Parse("rules.v4", text, rules.ParseOptions{Family: netfilter.IPv4, Backend: netfilter.Legacy})
			if err != nil {
				t.Fatal(err)
			}
			q := Question{Family: netfilter.IPv4, Iface: "eth0", Dst: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Ports: []uint16{22}}
			for i := range 100 {
				q.Mgmt = append(q.Mgmt, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i * 2), 0, 0}), 16))
			}
			start := time.Now()
			a := New(q, nil, []BackendTables{{netfilter.Legacy, set.Tables(0)}})
			r := a.Answer()
			if a.exhausted && r.Verdict != Conditional {
				t.Errorf("gave up and said %s", r.Verdict)
			}
			t.Logf("%s after %v, %d steps, gave up: %v", r.Verdict, time.Since(start), a.cells.work, a.exhausted)
		})
	}
}
