package procevents

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind is what happened to a process (linux/cn_proc.h).
type Kind uint32

const (
	None Kind = 0 // acknowledgement of a request
	Fork Kind = 1
	Exec Kind = 2
	Exit Kind = 0x80000000
)

// Event is one message of the proc connector.
type Event struct {
	Kind   Kind
	PID    int    // the process; of a fork, the child
	Parent int    // of a fork
	Err    uint32 // of an acknowledgement
}

// errFormat marks a message that is not what linux/cn_proc.h promises.
var errFormat = errors.New("unexpected format of a proc event")

// Offsets in a message: struct nlmsghdr, struct cn_msg, struct proc_event.
const (
	headerSize = 16
	whatAt     = headerSize + 20
	dataAt     = whatAt + 16
)

// parseEvent reads one message of the proc connector. Events of threads are
// nothing: Kind is None and PID is 0.
func parseEvent(b []byte) (Event, error) {
	word := func(offset int) uint32 { return binary.NativeEndian.Uint32(b[offset:]) }
	if len(b) < dataAt+4 {
		return Event{}, fmt.Errorf("proc event of %d bytes: %w", len(b), errFormat)
	}
	e := Event{Kind: Kind(word(whatAt))}
	need := map[Kind]int{Fork: 16, Exec: 8, Exit: 8}[e.Kind]
	if len(b) < dataAt+need {
		return Event{}, fmt.Errorf("proc event %#x of %d bytes: %w", uint32(e.Kind), len(b), errFormat)
	}
	switch e.Kind {
	case None:
		e.Err = word(dataAt)
	case Fork:
		if word(dataAt+8) != word(dataAt+12) {
			return Event{}, nil
		}
		e.Parent, e.PID = int(word(dataAt+4)), int(word(dataAt+12))
	case Exec:
		e.PID = int(word(dataAt + 4))
	case Exit:
		if word(dataAt) != word(dataAt+4) {
			return Event{}, nil
		}
		e.PID = int(word(dataAt + 4))
	default:
		return Event{}, nil
	}
	return e, nil
}
