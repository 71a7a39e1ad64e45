package rulegen

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Server writes a rules file of n rules in the style of servers that keep
// block lists, service rules and chains for both.
func Server(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	var b strings.Builder
	b.WriteString("*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:blocked - [0:0]\n:services - [0:0]\n")
	b.WriteString("-A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n")
	b.WriteString("-A INPUT -j blocked\n-A INPUT -p tcp -m tcp --dport 22 -j services\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n")
	for i := range n {
		switch i % 4 {
		case 0, 1:
			fmt.Fprintf(&b, "-A blocked -s %d.%d.%d.%d/32 -j DROP\n", 10+r.IntN(90), r.IntN(256), r.IntN(256), r.IntN(256))
		case 2:
			fmt.Fprintf(&b, "-A services -s 10.%d.%d.0/24 -p tcp -m tcp --dport 22 -m comment --comment \"team %d\" -j ACCEPT\n", r.IntN(256), r.IntN(256), i)
		case 3:
			fmt.Fprintf(&b, "-A INPUT -p tcp -m multiport --dports %d,%d -m conntrack --ctstate NEW -j ACCEPT\n", 1000+r.IntN(60000), 1000+r.IntN(60000))
		}
	}
	b.WriteString("COMMIT\n")
	return []byte(b.String())
}
