package rsync

import (
	"encoding/binary"
	"testing"
)

// message is what the proc connector sends.
func message(kind eventKind, data ...uint32) []byte {
	b := make([]byte, eventWhat)
	b = binary.NativeEndian.AppendUint32(b, uint32(kind))
	b = append(b, make([]byte, eventData-len(b))...)
	for _, word := range data {
		b = binary.NativeEndian.AppendUint32(b, word)
	}
	return b
}

func TestParseEvent(t *testing.T) {
	for name, c := range map[string]struct {
		message []byte
		want    event
	}{
		"fork":           {message(eventFork, 7, 7, 42, 42), event{Kind: eventFork, PID: 42, Parent: 7}},
		"by a thread":    {message(eventFork, 8, 7, 42, 42), event{Kind: eventFork, PID: 42, Parent: 7}},
		"new thread":     {message(eventFork, 7, 7, 43, 42), event{}},
		"exec":           {message(eventExec, 42, 42), event{Kind: eventExec, PID: 42}},
		"exit":           {message(eventExit, 42, 42, 0, 17), event{Kind: eventExit, PID: 42}},
		"end of thread":  {message(eventExit, 43, 42, 0, 0), event{}},
		"refused":        {message(eventNone, 1), event{Err: 1}},
		"something else": {message(4, 42, 42, 0, 0), event{}},
	} {
		got, err := parseEvent(c.message)
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	for _, short := range [][]byte{nil, make([]byte, eventData), message(eventFork, 1, 1), message(eventExec, 1)} {
		if got, err := parseEvent(short); err == nil {
			t.Errorf("%d bytes: got %+v, want an error", len(short), got)
		}
	}
}
