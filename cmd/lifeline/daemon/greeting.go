package daemon

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"
)

// greetTime lets the first echo requests be answered before the first status
// is shown.
const greetTime = 2 * time.Second

// greet shows what was found, once, after the first cycles.
func (p *publisher) greet(ctx context.Context, w io.Writer) error {
	select {
	case <-ctx.Done():
		return nil
	case <-p.first:
	}
	select {
	case <-ctx.Done():
	case <-time.After(greetTime):
		tellCapabilities(p.log, p.capabilities())
		if err := p.status().Text(w); err != nil {
			p.log.Warn("the first status could not be shown", "error", err)
		}
		fmt.Fprintf(w, "\nwatching over %s; Ctrl-C ends it and undoes everything\n", hostname())
	}
	return nil
}

// hostname is for people; a host without one is "this host".
func hostname() string {
	if h, err := os.Hostname(); err == nil {
		return h
	}
	return "this host"
}
