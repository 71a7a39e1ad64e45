package procevents

import "testing"

func FuzzParseEvent(f *testing.F) {
	f.Add(message(Fork, 7, 7, 42, 42))
	f.Add(message(Exit, 7))
	f.Fuzz(func(t *testing.T, b []byte) {
		if e, err := parseEvent(b); err != nil && e != (Event{}) {
			t.Errorf("%x: %+v with an error", b, e)
		}
	})
}
