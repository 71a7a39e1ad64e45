package path

import (
	"context"
	"net/netip"
	"time"
)

// Job is what one target is to be asked.
type Job struct {
	Target      netip.Addr
	Interval    time.Duration // between requests; 0 for a single one
	UntilAnswer bool          // end with the first answer
	// Sent, Answered and Failed are called by one goroutine at a time. Sequence
	// numbers rise by one from 0; a request that failed has none.
	Sent, Answered func(seq int)
	Failed         func(error)
}

// Pinger sends echo requests: the first at once, then one every interval,
// until ctx ends, the first answer came (where the job says so) or it pleases
// to start anew. Its error says that not even the first could be sent.
type Pinger interface {
	Ping(ctx context.Context, job Job) error
}
