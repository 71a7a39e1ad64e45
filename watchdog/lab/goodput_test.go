package lab

import (
	"testing"
	"time"
)

// What a sender has put on its own link is not goodput: it may wait in the
// bottleneck's queue yet, or be dropped there.
func TestGoodputIsWhatArrived(t *testing.T) {
	at := time.Unix(0, 0)
	a := Received{Srv: Counters{At: at, RxBytes: 5000, RxPackets: 5}, Cli: Counters{At: at}}
	b := a
	b.Srv.At, b.Cli.At = at.Add(100*ms), at.Add(200*ms)
	b.Srv.RxBytes, b.Srv.RxPackets = a.Srv.RxBytes+1000+2*headers, a.Srv.RxPackets+2
	b.Cli.RxBytes, b.Cli.RxPackets = 10*headers, 10 // acknowledgements alone
	b.Cli.TxBytes, b.Srv.TxBytes = 1e9, 1e9
	if got, want := GoodputBetween(a, b), (Goodput{Push: 80_000}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestGoodputFitsTheLink fills a queue from empty and looks ten times a second: in
// no interval may more arrive than the token bucket lets through, its rate and one
// bucket, however much the senders put into the queue before it.
func TestGoodputFitsTheLink(t *testing.T) {
	const rate, bucket = 40e6, 70_000
	for _, dir := range []Direction{Push, Pull} {
		t.Run(dir.String(), func(t *testing.T) {
			needRoot(t)
			l := newLab(t, Options{Rate: rate, Queue: 800_000, Files: 1, FileSize: 1 << 30, Sparse: true})
			a, err := l.Received()
			if err != nil {
				t.Fatal(err)
			}
			batch, err := l.Start(t.Context(), Transfers{Dir: dir, N: 4})
			if err != nil {
				t.Fatal(err)
			}
			defer batch.Stop()
			var highest, sent float64
			for range 25 {
				time.Sleep(100 * ms)
				b, err := l.Received()
				if err != nil {
					t.Fatal(err)
				}
				got := GoodputBetween(a, b).Of(dir)
				span := b.At(dir).Sub(a.At(dir)).Seconds()
				if most := rate + bucket*8/span; got > most*1.05 { // for the clock of a busy machine
					t.Errorf("%.1f Mbit/s in %.0f ms, of which the link lets %.1f through", got/1e6, span*1e3, most/1e6)
				}
				highest, sent = max(highest, got), max(sent, put(a, b, dir))
				a = b
			}
			t.Logf("highest %.1f Mbit/s arrived, %.1f by the sender's counter", highest/1e6, sent/1e6)
			if highest < rate/2 {
				t.Errorf("the transfers do not fill the link: %.1f Mbit/s", highest/1e6)
			}
		})
	}
}

// put is the rate at which the sender of a direction put bytes on its link, bits/s.
func put(a, b Received, d Direction) float64 {
	from, to := a.by(1-d), b.by(1-d)
	return float64(to.TxBytes-from.TxBytes) * 8 / to.At.Sub(from.At).Seconds()
}
