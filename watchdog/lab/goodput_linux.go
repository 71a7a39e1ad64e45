package lab

import (
	"context"
	"fmt"
	"time"
)

// Goodput is the payload of TCP over cli's link in each direction, bits/s.
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
		Push: payload(b.TxBytes-a.TxBytes, b.TxPackets-a.TxPackets) * 8 / s,
		Pull: payload(b.RxBytes-a.RxBytes, b.RxPackets-a.RxPackets) * 8 / s,
	}
}

// headers are the bytes of Ethernet, IPv4 and TCP with timestamps. A superpacket
// has them once and single frames have them each, so that counting them would
// make the same transfer look 4 % faster where the kernel cuts it up.
const headers = 14 + 20 + 32

// payload is what is left of some packets without their headers.
func payload(bytes, packets uint64) float64 {
	return max(0, float64(bytes)-headers*float64(packets))
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
