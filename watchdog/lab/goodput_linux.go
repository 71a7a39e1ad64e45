package lab

import (
	"context"
	"fmt"
	"time"
)

// Goodput is the traffic of cli's link in each direction, bits/s. It counts
// whole frames, so it is a few per cent above what rsync reports.
type Goodput struct {
	Push float64 // from cli towards srv
	Pull float64 // from srv towards cli
}

// Of returns the rate in one direction, bits/s.
func (g Goodput) Of(d Direction) float64 {
	if d == Pull {
		return g.Pull
	}
	return g.Push
}

// GoodputBetween returns the mean rates between two readings of cli's eth0.
func GoodputBetween(a, b Counters) Goodput {
	s := b.At.Sub(a.At).Seconds()
	return Goodput{
		Push: float64(b.TxBytes-a.TxBytes) * 8 / s,
		Pull: float64(b.RxBytes-a.RxBytes) * 8 / s,
	}
}

// Goodput measures the mean rates over the window that begins now.
func (l *Lab) Goodput(ctx context.Context, window time.Duration) (Goodput, error) {
	a, err := l.Cli.Counters("eth0")
	if err != nil {
		return Goodput{}, err
	}
	select {
	case <-ctx.Done():
		return Goodput{}, fmt.Errorf("lab: goodput: %w", ctx.Err())
	case <-time.After(window):
	}
	b, err := l.Cli.Counters("eth0")
	if err != nil {
		return Goodput{}, err
	}
	return GoodputBetween(a, b), nil
}
