package sandbox

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeline/probes/iptables"
)

// manyRules is a filter table with n rules that match nothing of interest.
func manyRules(n int, last string) string {
	var b strings.Builder
	b.WriteString("*filter\n:INPUT DROP [0:0]\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n")
	for i := range n {
		fmt.Fprintf(&b, "-A INPUT -s 172.%d.%d.0/24 -p tcp -m tcp --dport %d -j ACCEPT\n", 16+i%16, i/16%250, 1000+i%60000)
	}
	b.WriteString(last + "\nCOMMIT\n")
	return b.String()
}

// TestLargeFile: where one message cannot hold the file, chunks do, and a
// fault in the last of them leaves nothing of the table behind.
func TestLargeFile(t *testing.T) {
	needTool(t, "iptables-nft-restore")
	const allow = "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT"
	good := manyRules(3000, allow)
	bad := manyRules(3000, "-A INPUT -j MASQUERADE\n"+allow)
	for name, how := range confinements() {
		t.Run(name, func(t *testing.T) {
			inside := Connection{Link: "eth0", Src: addrs("10.1.1.1")[0], Dst: addrs("192.0.2.10")[0], DPort: 22}
			outside := Connection{Link: "eth0", Src: addrs("11.1.1.1")[0], Dst: addrs("192.0.2.10")[0], DPort: 22}
			p := startOrSkip(t, how)
			said, err := p.load(t, plainNetwork(), restore(iptables.NFT, iptables.IPv4, good))
			if err != nil || said[0].Code != 0 {
				t.Fatalf("%+v, %v", said, err)
			}
			out, err := p.Connect(Traffic{Listen: []uint16{22}, Tries: []Connection{inside}, Timeout: 20 * time.Second})
			if err != nil || out[0] != Established {
				t.Errorf("%v, %v", out, err)
			}
			out, err = p.Connect(Traffic{Listen: []uint16{22}, Tries: []Connection{outside}, Timeout: 500 * time.Millisecond})
			if err != nil || out[0] != TimedOut {
				t.Errorf("%v, %v", out, err)
			}
			p = startOrSkip(t, how)
			if said, err = p.load(t, plainNetwork(), restore(iptables.NFT, iptables.IPv4, bad)); err != nil || said[0].Code == 0 {
				t.Fatalf("%+v, %v", said, err)
			}
			if n := errorLine(said[0].Stderr); n != 3004 {
				t.Errorf("line %d in %q", n, said[0].Stderr)
			}
			out, err = p.Connect(Traffic{Listen: []uint16{22}, Tries: []Connection{inside, outside}, Timeout: 20 * time.Second})
			if err != nil || out[0] != Established || out[1] != Established {
				t.Errorf("a refused table blocks: %v, %v", out, err)
			}
		})
	}
}
