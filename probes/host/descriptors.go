package host

import (
	"fmt"
	"time"

	"lifeline/watchdog"
)

const (
	descriptorsEvery = time.Second
	// spareDescriptors is what must be free for a turn's own opens, a new guard
	// and whoever asks for status.
	spareDescriptors = 16
)

// Descriptors tells when this process is about to run out of file descriptors:
// then processes and sockets cannot be looked at, nor anything be limited.
type Descriptors struct {
	// Free says how many of most descriptors there are can be opened, and how
	// many this process may have in all.
	Free func(most int) (free int, limit uint64, err error)

	at   time.Duration
	errs []watchdog.ProbeError
}

// NewDescriptors looks at this process.
func NewDescriptors() *Descriptors { return &Descriptors{Free: freeDescriptors} }

// Sample looks once a second; in between it says what it said. Now is monotonic.
func (d *Descriptors) Sample(now time.Duration) []watchdog.ProbeError {
	if d.at != 0 && now-d.at < descriptorsEvery {
		return d.errs
	}
	d.at, d.errs = max(now, 1), nil
	free, limit, err := d.Free(spareDescriptors)
	switch {
	case err != nil:
		d.note(err.Error())
	case free < spareDescriptors:
		d.note(fmt.Sprintf("only %d of the %d file descriptors that the daemon may have are free, so that transfers may be overlooked: "+
			"set LimitNOFILE=65536 in its unit, or start it after `ulimit -n 65536`", free, limit))
	}
	return d.errs
}

func (d *Descriptors) note(text string) {
	d.errs = []watchdog.ProbeError{{Probe: watchdog.ProbeDescriptors, Err: text}}
}
