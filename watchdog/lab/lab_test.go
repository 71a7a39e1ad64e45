package lab

import (
	"context"
	"os"
	"testing"
	"time"
)

// newLab builds a lab for a test and closes it at the test's end.
func newLab(t *testing.T, o Options) *Lab {
	t.Helper()
	needRoot(t)
	l, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("network namespaces need root")
	}
}

// TestTransfers lets real transfers of each kind fill the queue, and checks
// that the queue, the files and finally the host are as they should be.
func TestTransfers(t *testing.T) {
	for _, c := range []struct {
		name string
		opts Options
		t    Transfers
	}{
		{"push to the daemon at the uplink", Options{}, Transfers{Dir: Push, Via: ViaDaemon, Timeout: 10 * time.Second}},
		{"pull over ssh at the server's link", Options{Bottleneck: AtServerLink, CC: "bbr", RsyncdTimeout: 10 * time.Second}, Transfers{Dir: Pull, Via: ViaSSH}},
		{"pull from the daemon beyond the gateway", Options{Bottleneck: BeyondGateway, IPv6: true}, Transfers{Dir: Pull, Via: ViaDaemon, IPv6: true}},
		{"push over ssh beyond the gateway", Options{Bottleneck: BeyondGateway, IPv6: true, CC: "reno"}, Transfers{Dir: Push, Via: ViaSSH, IPv6: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			needRoot(t)
			t.Parallel()
			c.opts.Rate, c.opts.Queue = 40e6, 800_000
			c.opts.Files, c.opts.FileSize = 2, 2<<20
			l := newLab(t, c.opts)
			c.t.N = 3
			fillAndVerify(t, l, c.t)
		})
	}
}

func fillAndVerify(t *testing.T, l *Lab, transfers Transfers) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	p, err := l.Ping(ctx, Ping{IPv6: transfers.IPv6})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	idle := p.Samples()
	a, err := l.Received()
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Start(ctx, transfers)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(ctx); err != nil {
		t.Fatal(err)
	}
	if err := l.VerifyChecksums(ctx); err != nil {
		t.Error(err)
	}
	z, err := l.Received()
	if err != nil {
		t.Fatal(err)
	}
	end := time.Since(p.Begin())
	time.Sleep(2 * CalmWindow)
	s := p.Stop()
	busy := s.Between(b[0].Started.Sub(p.Begin()), end)
	rate := GoodputBetween(a, z).Of(transfers.Dir)
	t.Logf("idle median %v, busy p90 %v, %.1f Mbit/s", idle.Percentile(50), busy.Percentile(90), rate/1e6)
	if idle.Percentile(50) > 20*time.Millisecond || busy.Percentile(90) < 30*time.Millisecond && l.opts.CC != "bbr" {
		t.Error("the transfers do not show in the round-trip time")
	}
	if calm, ok := s.TimeToCalm(end, 20*time.Millisecond); !ok || calm > CalmWindow {
		t.Errorf("the queue outlives the transfers: %v, %v", calm, ok)
	}
	if limit := float64(l.opts.Rate) * 1.1; rate > limit || rate < limit/10 {
		t.Errorf("goodput %.1f Mbit/s does not fit the bottleneck", rate/1e6)
	}
}
