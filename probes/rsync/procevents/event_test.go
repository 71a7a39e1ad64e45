package procevents

import (
	"encoding/binary"
	"testing"
)

// message is what the proc connector sends.
func message(kind Kind, data ...uint32) []byte {
	b := make([]byte, whatAt)
	b = binary.NativeEndian.AppendUint32(b, uint32(kind))
	b = append(b, make([]byte, dataAt-len(b))...)
	for _, word := range data {
		b = binary.NativeEndian.AppendUint32(b, word)
	}
	return b
}

func TestParseEvent(t *testing.T) {
	for name, c := range map[string]struct {
		message []byte
		want    Event
	}{
		"fork":           {message(Fork, 7, 7, 42, 42), Event{Kind: Fork, PID: 42, Parent: 7}},
		"by a thread":    {message(Fork, 8, 7, 42, 42), Event{Kind: Fork, PID: 42, Parent: 7}},
		"new thread":     {message(Fork, 7, 7, 43, 42), Event{}},
		"exec":           {message(Exec, 42, 42), Event{Kind: Exec, PID: 42}},
		"exit":           {message(Exit, 42, 42, 0, 17), Event{Kind: Exit, PID: 42}},
		"end of thread":  {message(Exit, 43, 42, 0, 0), Event{}},
		"refused":        {message(None, 1), Event{Err: 1}},
		"something else": {message(4, 42, 42, 0, 0), Event{}},
	} {
		got, err := parseEvent(c.message)
		if err != nil || got != c.want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	for _, short := range [][]byte{nil, make([]byte, dataAt), message(Fork, 1, 1), message(Exec, 1)} {
		if got, err := parseEvent(short); err == nil {
			t.Errorf("%d bytes: got %+v, want an error", len(short), got)
		}
	}
}
