package rtattr

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"
)

// encode makes an attribute, padded.
func encode(typ uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(headerSize+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	return append(b, make([]byte, -len(b)&3)...)
}

// text renders what All yields.
func text(b []byte) string {
	var out []byte
	for a, err := range All(b) {
		if err != nil {
			return string(append(out, "error"...))
		}
		out = fmt.Appendf(out, "%d=%x ", a.Type, a.Value)
	}
	return string(out)
}

func TestAll(t *testing.T) {
	for name, tc := range map[string]struct {
		in   []byte
		want string
	}{
		"none":                     {nil, ""},
		"two, the first padded":    {append(encode(1, 7), encode(2, 1, 2, 3, 4)...), "1=07 2=01020304 "},
		"without value":            {encode(5), "5= "},
		"flags":                    {encode(0x8000|3, 9), "3=09 "},
		"byte order flag":          {encode(0x4000|3, 9), "3=09 "},
		"last one without padding": {encode(1, 7)[:5], "1=07 "},
		"rest below a header":      {append(encode(1, 7), 1, 2, 3), "1=07 "},
		"length below a header":    {append(encode(1, 7), 3, 0, 1, 0), "1=07 error"},
		"length beyond the end":    {append(encode(1, 7), 9, 0, 1, 0, 5, 5, 5, 5), "1=07 error"},
	} {
		if got := text(tc.in); got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestFind(t *testing.T) {
	b := append(append(encode(1, 7), encode(2, 8)...), encode(2, 9)...)
	if got, err := Find(b, 2); err != nil || !bytes.Equal(got, []byte{8}) {
		t.Errorf("got %x, %v; want the first one of type 2", got, err)
	}
	if got, err := Find(b, 3); err != nil || got != nil {
		t.Errorf("got %x, %v for a type that is not there", got, err)
	}
	broken := append(encode(1, 7), 1, 0, 1, 0)
	if _, err := Find(broken, 1); err != nil {
		t.Errorf("before the malformed one: %v", err)
	}
	if _, err := Find(broken, 2); !errors.Is(err, ErrFormat) {
		t.Errorf("behind the malformed one: %v, want %v", err, ErrFormat)
	}
}

func TestReadsWithoutAllocation(t *testing.T) {
	b := append(encode(1, 7), encode(2, 8)...)
	sum := 0
	if n := testing.AllocsPerRun(100, func() {
		for a, err := range All(b) {
			if err == nil {
				sum += len(a.Value)
			}
		}
		v, _ := Find(b, 2)
		sum += len(v)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzAll(f *testing.F) {
	f.Add(append(encode(1, 7), encode(2, 8)...), uint16(2))
	f.Fuzz(func(t *testing.T, b []byte, typ uint16) {
		var first []byte
		var failed error
		for a, err := range All(b) {
			if err != nil {
				failed = err
				break
			}
			if a.Type == typ {
				first = a.Value
				break
			}
		}
		got, err := Find(b, typ)
		if !bytes.Equal(got, first) || errors.Is(err, ErrFormat) != errors.Is(failed, ErrFormat) {
			t.Errorf("Find gives %x, %v; All %x, %v", got, err, first, failed)
		}
	})
}
