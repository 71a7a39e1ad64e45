package path

import (
	"context"
	"net/netip"
	"time"
)

// Pinger sends one echo request and waits for its answer until ctx ends. It
// calls sent and answered at those moments. Its error says that the request
// could not be sent.
type Pinger interface {
	Ping(ctx context.Context, target netip.Addr, sent, answered func()) error
}

// Echo sends echo requests in one turn and reads in later ones, without waiting,
// what came back: nobody is woken for an answer, which costs more than the
// request and all that it tells.
type Echo interface {
	// Send sends request n. Its error says that it did not go out.
	Send(target netip.Addr, n uint64) error
	// Receive tells of each answer that has come since the last call: to which
	// request, from whom, and how long ago. It gives false when it cannot be told
	// how long ago: a clock was set.
	Receive(answered func(from netip.Addr, n uint64, ago time.Duration)) (timed bool)
}
