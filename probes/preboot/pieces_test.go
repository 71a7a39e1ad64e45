package preboot

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"lifeline/probes/iptables"
)

func TestCut(t *testing.T) {
	text := "# head\n*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\nCOMMIT\n\n*filter\n:A - [0:0]\n-A A -j 1\n-A A -j 2\n# between\n-A A -j 3\n-A A -j 4\n-A A -j 5\nCOMMIT\n"
	got, err := cut([]byte(text), 2)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, p := range got {
		words = append(words, fmt.Sprintf("%s %v %q", p.table, p.noFlush, strings.TrimLeft(string(p.text), "\n")))
	}
	want := []string{
		`raw false "*raw\n:PREROUTING ACCEPT [0:0]\n-A PREROUTING -j ACCEPT\nCOMMIT\n"`,
		`filter false "*filter\n:A - [0:0]\n-A A -j 1\n-A A -j 2\n\nCOMMIT\n"`,
		`filter true "*filter\n` + strings.Repeat(`\n`, 10) + `-A A -j 3\n-A A -j 4\nCOMMIT\n"`,
		`filter true "*filter\n` + strings.Repeat(`\n`, 12) + `-A A -j 5\nCOMMIT\n"`,
	}
	if strings.Join(words, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(words, "\n"), strings.Join(want, "\n"))
	}
	lines := strings.Split(text, "\n")
	for _, p := range got {
		for i, l := range strings.Split(string(p.text), "\n") {
			if strings.HasPrefix(l, "-A") && lines[i] != l {
				t.Errorf("%q stands in line %d", l, i+1)
			}
		}
	}
	for _, bad := range []string{"*filter\n-A x\n", "-A x\n", "*filter\n-A x\nCOMMIT", "*filter\n-A x\n:B - [0:0]\nCOMMIT\n", "*filter\n:A - [0:0]\n-A x\n-A x\n-A x\n:B - [0:0]\nCOMMIT\n", "x"} {
		if p, err := cut([]byte(bad), 2); err == nil {
			t.Errorf("%q is cut into %d pieces", bad, len(p))
		}
	}
}

func FuzzCut(f *testing.F) {
	f.Add([]byte("*filter\n:A - [0:0]\n-A A -j 1\n-A A -j 2\nCOMMIT\n"), 1)
	f.Fuzz(func(t *testing.T, text []byte, n int) {
		pieces, err := cut(text, 1+n&7)
		if err != nil {
			return
		}
		count := 0
		for _, p := range pieces {
			count += bytes.Count(p.text, []byte("\n-A"))
		}
		if want := bytes.Count(text, []byte("\n-A")); count != want {
			t.Errorf("%d of %d rules are left", count, want)
		}
	})
}

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

// TestLargeFile: where one message cannot hold the file, pieces do, and a
// fault in the last of them leaves nothing of the table behind.
func TestLargeFile(t *testing.T) {
	needTool(t, "iptables-nft-restore")
	const allow = "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT"
	good := manyRules(3000, allow)
	bad := manyRules(3000, "-A INPUT -j MASQUERADE\n"+allow)
	for name, how := range confinements() {
		t.Run(name, func(t *testing.T) {
			inside := connection{Link: "eth0", Src: addrs("10.1.1.1")[0], Dst: addrs("192.0.2.10")[0], DPort: 22}
			outside := connection{Link: "eth0", Src: addrs("11.1.1.1")[0], Dst: addrs("192.0.2.10")[0], DPort: 22}
			p := openStage(t, how)
			said, err := p.Stage(plainScene(restore(iptables.NFT, iptables.IPv4, good)))
			if err != nil || said[0].Code != 0 {
				t.Fatalf("%+v, %v", said, err)
			}
			out, err := p.Play(traffic{Listen: []uint16{22}, Tries: []connection{inside}, Timeout: 20 * time.Second})
			if err != nil || out[0] != Established {
				t.Errorf("%v, %v", out, err)
			}
			out, err = p.Play(traffic{Listen: []uint16{22}, Tries: []connection{outside}, Timeout: defaultTimeout})
			if err != nil || out[0] != TimedOut {
				t.Errorf("%v, %v", out, err)
			}
			p = openStage(t, how)
			if said, err = p.Stage(plainScene(restore(iptables.NFT, iptables.IPv4, bad))); err != nil || said[0].Code == 0 {
				t.Fatalf("%+v, %v", said, err)
			}
			if n := errorLine(said[0].Stderr); n != 3004 {
				t.Errorf("line %d in %q", n, said[0].Stderr)
			}
			out, err = p.Play(traffic{Listen: []uint16{22}, Tries: []connection{inside, outside}, Timeout: 20 * time.Second})
			if err != nil || out[0] != Established || out[1] != Established {
				t.Errorf("a refused table blocks: %v, %v", out, err)
			}
		})
	}
}
