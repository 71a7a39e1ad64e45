package iptables

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"strings"
	"testing"
)

// benchRules writes a rules file of n rules in the style of servers that keep
// block lists, service rules and chains for both.
func benchRules(n int) []byte {
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

// benchQuestion asks about n management networks.
func benchQuestion(n int) Question {
	q := Question{Family: IPv4, Backend: NFT, Iface: "eth0", Dst: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Ports: []uint16{22}}
	for i := range n {
		q.Mgmt = append(q.Mgmt, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i * 2), 0, 0}), 16))
	}
	return q
}

var benchSizes = []int{1_000, 3_000, 10_000, 30_000, 100_000}

// aims are bounds that a benchmark is held against in docs/benchmarks.md, by the
// number of rules.
type aims struct{ ms, megabytes map[int]float64 }

// benchCurve runs one benchmark at every size. The time per rule shows how the
// whole grows.
func benchCurve(b *testing.B, to aims, prepare func(b *testing.B, n int) (once func())) {
	for _, n := range benchSizes {
		once := prepare(b, n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				once()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/rule")
			if v, ok := to.ms[n]; ok {
				b.ReportMetric(v, "aim-ms")
			}
			if v, ok := to.megabytes[n]; ok {
				b.ReportMetric(v, "aim-MB")
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	to := aims{ms: map[int]float64{100_000: 1000}, megabytes: map[int]float64{100_000: 300}}
	benchCurve(b, to, func(b *testing.B, n int) func() {
		text := benchRules(n)
		return func() {
			if _, err := Parse("rules.v4", text, ParseOptions{Family: IPv4, Backend: NFT}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAnalyse measures the analysis alone, without reading the file.
func BenchmarkAnalyse(b *testing.B) {
	q := benchQuestion(100)
	benchCurve(b, aims{ms: map[int]float64{10_000: 50, 100_000: 1000}}, func(b *testing.B, n int) func() {
		set, err := Parse("rules.v4", benchRules(n), ParseOptions{Family: IPv4, Backend: NFT})
		if err != nil {
			b.Fatal(err)
		}
		return func() {
			a := newAnalysis(q, nil, []backendTables{{NFT, set.Tables(0)}})
			if r := a.result(a.find(a.everything)); r.Verdict != Blocked {
				b.Fatalf("got %s: %v", r.Verdict, r.Assumptions)
			}
		}
	})
}

// BenchmarkAnswer measures reading the file and the analysis together.
func BenchmarkAnswer(b *testing.B) {
	q := benchQuestion(100)
	benchCurve(b, aims{}, func(b *testing.B, n int) func() {
		in := Inputs{Rules: []File{{Name: "rules.v4", Text: benchRules(n)}}}
		return func() {
			if r := Analyse(q, in); r.Verdict != Blocked {
				b.Fatalf("got %s: %v", r.Verdict, r.Assumptions)
			}
		}
	})
}

// TestParseMemory holds the memory of a large file down.
func TestParseMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("reads 100,000 rules")
	}
	text := benchRules(100_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	set, err := Parse("rules.v4", text, ParseOptions{Family: IPv4, Backend: NFT})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 300<<20 {
		t.Errorf("reading took %d MB in all", used>>20)
	}
	runtime.KeepAlive(set)
}
