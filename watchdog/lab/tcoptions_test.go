package lab

import (
	"encoding/binary"
	"testing"
)

func encodeAttr(typ uint16, value ...byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(4+len(value)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func concat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func TestOptionsWithoutCounters(t *testing.T) {
	times, stats := encodeAttr(actTimes, 1, 2, 3, 4), encodeAttr(actStats, 9, 9)
	gact := func(times, stats []byte) []byte {
		options := encodeAttr(actOption, concat(times, encodeAttr(2, 7))...)
		return encodeAttr(1, concat(encodeAttr(actKind, []byte("gact\x00")...), stats, options)...)
	}
	for _, c := range []struct {
		name, kind string
		options    []byte
		want       string
	}{
		{"a plain struct", "pfifo", []byte{0xe8, 3, 0, 0}, "e8030000"},
		{"an unknown kind is compared whole", "tbf", encodeAttr(1, 5), "0500010005000000"},
		{"htb without direct_pkts", "htb", encodeAttr(htbInit, 3, 0, 0, 0, 10, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 99, 0, 0, 0), "2=030000000a0000000200000000000000"},
		{"u32 without hits", "u32", concat(encodeAttr(1, 0x10), encodeAttr(u32Pcnt, 8, 8, 8, 8)), "1=10"},
		{"u32 mark without successes", "u32", encodeAttr(u32Mark, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0), "10=0100000002000000"},
		{"actions without statistics", "u32", encodeAttr(u32Act, gact(times, stats)...), `7=(1=("gact" 2=07))`},
	} {
		if got := describeOptions(c.kind, c.options); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestParseAttrsRefuses(t *testing.T) {
	for _, bad := range [][]byte{{1}, {3, 0, 1, 0}, {9, 0, 1, 0, 5, 5, 5, 5}} {
		if got, err := parseAttrs(bad); err == nil {
			t.Errorf("%x: %v, no error", bad, got)
		}
	}
}

func FuzzDescribeOptions(f *testing.F) {
	f.Add("u32", encodeAttr(u32Act, encodeAttr(1, encodeAttr(actKind, 'x')...)...))
	f.Add("htb", encodeAttr(htbInit, 1, 2, 3))
	f.Fuzz(func(t *testing.T, kind string, options []byte) {
		_ = describeOptions(kind, options)
	})
}
