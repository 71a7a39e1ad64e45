package rsync

import (
	"encoding/binary"
	"fmt"
)

// eventKind is what happened to a process (linux/cn_proc.h).
type eventKind uint32

const (
	eventNone eventKind = 0 // acknowledgement of a request
	eventFork eventKind = 1
	eventExec eventKind = 2
	eventExit eventKind = 0x80000000
)

// event is one message of the proc connector.
type event struct {
	Kind   eventKind
	PID    int    // the process; of a fork, the child
	Parent int    // of a fork
	Err    uint32 // of an acknowledgement
}

// Offsets in a message: struct nlmsghdr, struct cn_msg, struct proc_event.
const (
	connectorHeader = 16
	eventWhat       = connectorHeader + 20
	eventData       = eventWhat + 16
)

// parseEvent reads one message of the proc connector. Events of threads are
// nothing: Kind is eventNone and PID is 0.
func parseEvent(b []byte) (event, error) {
	word := func(offset int) uint32 { return binary.NativeEndian.Uint32(b[offset:]) }
	if len(b) < eventData+4 {
		return event{}, fmt.Errorf("proc event of %d bytes: %w", len(b), errFormat)
	}
	e := event{Kind: eventKind(word(eventWhat))}
	need := map[eventKind]int{eventFork: 16, eventExec: 8, eventExit: 8}[e.Kind]
	if len(b) < eventData+need {
		return event{}, fmt.Errorf("proc event %#x of %d bytes: %w", uint32(e.Kind), len(b), errFormat)
	}
	switch e.Kind {
	case eventNone:
		e.Err = word(eventData)
	case eventFork:
		if word(eventData+8) != word(eventData+12) {
			return event{}, nil
		}
		e.Parent, e.PID = int(word(eventData+4)), int(word(eventData+12))
	case eventExec:
		e.PID = int(word(eventData + 4))
	case eventExit:
		if word(eventData) != word(eventData+4) {
			return event{}, nil
		}
		e.PID = int(word(eventData + 4))
	default:
		return event{}, nil
	}
	return e, nil
}
