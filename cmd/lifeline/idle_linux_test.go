package main

import (
	"os"
	"testing"
	"time"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog/lab"
)

// idleSettle lets the start be over: the first checks, the first base RTTs.
const (
	idleSettle = 20 * time.Second
	idleSpan   = time.Minute
)

// BenchmarkIdle measures what the daemon and its guard cost together while an
// administrator is logged in and nothing is transferred. Run it with
// -benchtime 1x; each turn takes a minute and a half.
func BenchmarkIdle(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("needs root: makes network namespaces")
	}
	ctx := b.Context()
	l, err := lab.New(ctx, lab.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	admin, err := l.AdminSession(ctx)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { admin.Close() })
	r, err := (&scenario.Daemon{Binary: binary}).Start(ctx, l)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.Stop)
	time.Sleep(idleSettle)
	for b.Loop() {
		u, err := r.Usage(ctx, idleSpan)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(100*u.CPU, "%CPU")
		b.ReportMetric(float64(u.RSS)/1e6, "MB")
	}
}
