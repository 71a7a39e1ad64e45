package spool

import (
	"bytes"
	"strings"
	"testing"

	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
)

// Typical events become less than half as large, and all come back.
func TestPack(t *testing.T) {
	var p packer
	for _, ev := range append(alerttest.Story(), incident.SampleEvents()...) {
		raw := encode(ev)
		small := p.pack(raw)
		back, err := unpack(small)
		if err != nil || !bytes.Equal(back, raw) {
			t.Errorf("%s: %q came back as %q, %v", ev.Kind, raw, back, err)
		}
		if len(small) > len(raw)/2 {
			t.Errorf("%s: %d bytes of %d", ev.Kind, len(small), len(raw))
		}
	}
	if raw := []byte(`{"plain":1}`); string(p.pack([]byte("x"))) != "x" {
		t.Error("what does not get smaller is packed")
	} else if back, err := unpack(raw); err != nil || !bytes.Equal(back, raw) {
		t.Errorf("a plain event comes back as %q, %v", back, err)
	}
}

// An event is bounded however small it was packed.
func TestUnpackIsBounded(t *testing.T) {
	var p packer
	b, err := unpack(p.pack([]byte(strings.Repeat("x", 4*maxEvent))))
	if err != nil || len(b) > maxEvent {
		t.Errorf("%d bytes, %v", len(b), err)
	}
}

func FuzzUnpack(f *testing.F) {
	var p packer
	f.Add(p.pack(encode(incident.SampleEvents()[0])))
	f.Add([]byte{packed})
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := unpack(b); err == nil && len(out) > max(maxEvent, len(b)) {
			t.Errorf("%d bytes", len(out))
		}
	})
}
