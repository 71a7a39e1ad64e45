package alert

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
	"lifeline/watchdog/store"
)

const (
	spooled = 100_000 // events in the spool
	brought = 20_000  // of these, in one measurement
)

// fillSpool spools begin and end of 50,000 incidents, as the lifecycle tells
// them, in a state directory, and gives that and the size of its file in MB.
func fillSpool(b *testing.B, url string) (dir string, cfg Config, mb float64) {
	b.Helper()
	dir, cfg = b.TempDir(), DefaultConfig()
	cfg.Host, cfg.Receivers = "backup1.example.org", []notify.Receiver{quick("r", notify.TypeJSON, url)}
	var db *store.DB
	a, err := open(dir, cfg, alerttest.Silent(), system{openStore: func(path string) (*store.DB, error) {
		opened, err := spool.OpenFile(path)
		if err == nil {
			db, opened.NoSync = opened, true
		}
		return opened, err
	}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.spool.Run(ctx) }()
	at := time.Now().Add(-spooled * time.Second)
	for n := range spooled / 2 {
		c := watchdog.Condition{Name: watchdog.LinkSaturated, Subject: watchdog.DirectionSubject("enp65s0f0", watchdog.Rx), Severity: watchdog.Warning, Since: at,
			Evidence: fmt.Sprintf("rx 94.%d Mbit/s of 100.0 Mbit/s, queueing delay %dms, 16 transfers have 98 %% of it", n%10, 100+n%60)}
		m := incident.Moment{Wall: at, Mono: time.Duration(n) * time.Hour}
		a.life.Apply(m, []watchdog.Change{{Condition: c, Raised: true}})
		at = at.Add(2 * time.Second)
		a.life.Apply(incident.Moment{Wall: at, Mono: m.Mono + time.Second}, []watchdog.Change{{Condition: c}})
		a.record(a.life.Output())
		if n%500 == 499 {
			for a.spool.HasUnwritten() {
				time.Sleep(time.Millisecond)
			}
		}
	}
	if st := a.Status(); st.Receivers[0].Pending != spooled || st.Receivers[0].Dropped != 0 {
		b.Fatalf("%d wait, %d dropped: want %d and none", st.Receivers[0].Pending, st.Receivers[0].Dropped, spooled)
	}
	for a.spool.HasUnwritten() {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := errors.Join(<-done, db.Sync()); err != nil {
		b.Fatal(err)
	}
	if err := a.spool.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, spool.File))
	if err != nil {
		b.Fatal(err)
	}
	if info.Size() > 100e6 {
		b.Fatalf("%d bytes on disk, at most 100 MB wanted", info.Size())
	}
	return dir, cfg, float64(info.Size()) / 1e6
}

// BenchmarkSpool starts with 100,000 spooled alerts, and brings 20,000 of them
// to a receiver on loopback; the aims are a second, and 500 a second.
func BenchmarkSpool(b *testing.B) {
	var taken atomic.Int64
	all := make(chan struct{}, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if taken.Add(1) == brought {
			all <- struct{}{}
		}
	}))
	defer srv.Close()
	dir, cfg, mb := fillSpool(b, srv.URL)
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			a := openFull(b, dir, cfg)
			b.StopTimer()
			if err := a.spool.Close(); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		b.ReportMetric(mb, "disk-MB")
		b.ReportMetric(1000, "aim-ms")
	})
	b.Run("deliver", func(b *testing.B) {
		var rate float64
		for b.Loop() {
			b.StopTimer()
			taken.Store(0)
			a := openFull(b, copyOf(b, dir), cfg)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			b.StartTimer()
			began := time.Now()
			go func() { ended <- a.Run(ctx) }()
			<-all
			rate = brought / time.Since(began).Seconds()
			b.StopTimer()
			cancel()
			if err := <-ended; err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
		b.ReportMetric(rate, "alerts/s")
		b.ReportMetric(brought/500*1000, "aim-ms")
	})
}

// openFull opens a full spool and sees that it is full.
func openFull(b *testing.B, dir string, cfg Config) *Alerts {
	a, err := Open(dir, cfg, alerttest.Silent())
	if err != nil {
		b.Fatal(err)
	}
	if n := a.Status().Receivers[0].Pending; n != spooled {
		b.Fatalf("%d wait", n)
	}
	return a
}

// copyOf copies a state directory.
func copyOf(b *testing.B, dir string) string {
	to := b.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		b.Fatal(err)
	}
	return to
}
