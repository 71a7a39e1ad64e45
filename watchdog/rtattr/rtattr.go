package rtattr

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// ErrFormat marks an attribute whose length is less than its header's, or more than what
// is left of the message.
var ErrFormat = errors.New("malformed netlink attribute")

// Attr is one attribute.
type Attr struct {
	Type  uint16 // without the flags NLA_F_NESTED and NLA_F_NET_BYTEORDER
	Value []byte // without header and padding; a part of the message
}

const (
	headerSize = 4      // struct rtattr
	typeMask   = 0x3fff // NLA_TYPE_MASK (linux/netlink.h)
)

// All yields the attributes of b in their order. A malformed one ends it with an error
// that wraps ErrFormat. What is shorter than a header at the end is passed over, as the
// kernel does.
func All(b []byte) iter.Seq2[Attr, error] {
	return func(yield func(Attr, error) bool) {
		for len(b) >= headerSize {
			a, rest, err := next(b)
			if !yield(a, err) || err != nil {
				return
			}
			b = rest
		}
	}
}

// Find gives the payload of the first attribute of that type; nil where there is none.
// The error is that of a malformed attribute before it.
func Find(b []byte, typ uint16) ([]byte, error) {
	for len(b) >= headerSize {
		a, rest, err := next(b)
		if err != nil {
			return nil, err
		}
		if a.Type == typ {
			return a.Value, nil
		}
		b = rest
	}
	return nil, nil
}

// next takes the first attribute off b, which has room for its header.
func next(b []byte) (a Attr, rest []byte, err error) {
	size := int(binary.NativeEndian.Uint16(b))
	a.Type = binary.NativeEndian.Uint16(b[2:]) & typeMask
	if size < headerSize || size > len(b) {
		return a, nil, fmt.Errorf("type %d: %d bytes of %d: %w", a.Type, size, len(b), ErrFormat)
	}
	a.Value = b[headerSize:size:size]
	return a, b[min((size+3)&^3, len(b)):], nil
}
