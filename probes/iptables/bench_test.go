package iptables

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"lifeline/probes/iptables/flow"
	"lifeline/probes/iptables/rulegen"
	"lifeline/probes/iptables/rules"
)

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
		text := rulegen.Server(n)
		return func() {
			if _, err := rules.Parse("rules.v4", text, rules.ParseOptions{Family: IPv4, Backend: NFT}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkAnalyse measures the analysis alone, without reading the file.
func BenchmarkAnalyse(b *testing.B) {
	q := benchQuestion(100)
	benchCurve(b, aims{ms: map[int]float64{10_000: 50, 100_000: 1000}}, func(b *testing.B, n int) func() {
		set, err := rules.Parse("rules.v4", rulegen.Server(n), rules.ParseOptions{Family: IPv4, Backend: NFT})
		if err != nil {
			b.Fatal(err)
		}
		return func() {
			a := flow.New(q.ofFamily(), nil, []flow.BackendTables{{Backend: NFT, Tables: set.Tables(0)}})
			if r := a.Answer(); r.Verdict != Blocked {
				b.Fatalf("got %s: %v", r.Verdict, r.Assumptions)
			}
		}
	})
}

// BenchmarkAnswer measures reading the file and the analysis together.
func BenchmarkAnswer(b *testing.B) {
	q := benchQuestion(100)
	benchCurve(b, aims{}, func(b *testing.B, n int) func() {
		in := Inputs{Rules: []File{{Name: "rules.v4", Text: rulegen.Server(n)}}}
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
	text := rulegen.Server(100_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	set, err := rules.Parse("rules.v4", text, rules.ParseOptions{Family: IPv4, Backend: NFT})
	if err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 300<<20 {
		t.Errorf("reading took %d MB in all", used>>20)
	}
	runtime.KeepAlive(set)
}
