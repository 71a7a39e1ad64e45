package lab

import (
	"context"
	"fmt"
	"time"
)

// Goodput is the payload of TCP that arrives in each direction, bits/s.
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

// Received is what has arrived at both receivers of transfers: behind the
// bottleneck. A sender's counter would also have what went into the queue before
// it and what was dropped there.
type Received struct {
	Srv, Cli Counters // of eth0
}

// Received reads the counters.
func (l *Lab) Received() (r Received, err error) {
	if r.Srv, err = l.Srv.Counters("eth0"); err != nil {
		return r, err
	}
	r.Cli, err = l.Cli.Counters("eth0")
	return r, err
}

// by returns the receiver's counters for a direction.
func (r Received) by(d Direction) Counters {
	if d == Pull {
		return r.Cli
	}
	return r.Srv
}

// At is when the receiver of a direction was looked at.
func (r Received) At(d Direction) time.Time { return r.by(d).At }

// Payload is what has arrived in a direction so far, bytes of TCP payload.
func (r Received) Payload(d Direction) float64 {
	c := r.by(d)
	return payload(c.RxBytes, c.RxPackets)
}

// GoodputBetween returns the mean rates between two readings.
func GoodputBetween(a, b Received) Goodput {
	rate := func(d Direction) float64 {
		return (b.Payload(d) - a.Payload(d)) * 8 / b.At(d).Sub(a.At(d)).Seconds()
	}
	return Goodput{Push: rate(Push), Pull: rate(Pull)}
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
	a, err := l.Received()
	if err != nil {
		return Goodput{}, err
	}
	select {
	case <-ctx.Done():
		return Goodput{}, fmt.Errorf("lab: goodput: %w", ctx.Err())
	case <-time.After(window):
	}
	b, err := l.Received()
	if err != nil {
		return Goodput{}, err
	}
	return GoodputBetween(a, b), nil
}
