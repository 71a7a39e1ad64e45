package nic

import (
	"errors"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"lifeline/watchdog"
)

// message makes a netlink message.
func message(typ, flags uint16, seq uint32, payload []byte) []byte {
	b := make([]byte, align(nlHeader+len(payload)))
	ne.PutUint32(b, uint32(nlHeader+len(payload)))
	ne.PutUint16(b[4:], typ)
	ne.PutUint16(b[6:], flags)
	ne.PutUint32(b[8:], seq)
	copy(b[nlHeader:], payload)
	return b
}

// stats makes the payload of an RTM_NEWSTATS; counter i is 100+i.
func stats(index int32) []byte {
	b := make([]byte, statsHeader+4+25*8)
	ne.PutUint32(b[4:], uint32(index))
	ne.PutUint16(b[statsHeader:], 4+25*8)
	ne.PutUint16(b[statsHeader+2:], statsLink64)
	for i := range 25 {
		ne.PutUint64(b[statsHeader+4+8*i:], uint64(100+i))
	}
	return b
}

func TestParseStats(t *testing.T) {
	want := Reading{Index: 7, Counters: [2]watchdog.Counters{
		{Packets: 100, Bytes: 102, Errors: 104, Dropped: 106, CRC: 112, Frame: 113, FIFO: 114, Missed: 115},
		{Packets: 101, Bytes: 103, Errors: 105, Dropped: 107, Frame: 117, FIFO: 118},
	}}
	b := message(rtmNewStats, 2, 5, stats(7))
	b = append(b, message(rtmNewStats, 2, 4, stats(8))...) // left over from an earlier dump
	got, done, err := parseStats(b, 5, nil)
	if err != nil || done {
		t.Fatalf("done %v, err %v", done, err)
	}
	if diff := cmp.Diff([]Reading{want}, got); diff != "" {
		t.Error(diff)
	}
	if _, done, err = parseStats(message(nlmsgDone, 2, 5, make([]byte, 4)), 5, got); !done || err != nil {
		t.Errorf("end of dump: done %v, err %v", done, err)
	}
}

func TestParseStatsErrors(t *testing.T) {
	unsupported := make([]byte, 20)
	errno := -int32(syscall.EOPNOTSUPP)
	ne.PutUint32(unsupported, uint32(errno))
	cut := message(rtmNewStats, 2, 5, stats(7))
	long := stats(7)
	ne.PutUint16(long[statsHeader:], 60000)
	short := stats(7)
	ne.PutUint16(short[statsHeader:], 20)
	for name, c := range map[string]struct {
		b    []byte
		want error
	}{
		"kernel refuses":    {message(nlmsgError, 0, 5, unsupported), syscall.EOPNOTSUPP},
		"interrupted":       {message(rtmNewStats, flagDumpIntr, 5, stats(7)), errInterrupted},
		"cut":               {cut[:len(cut)-8], errShort},
		"no header":         {message(rtmNewStats, 2, 5, []byte{1, 2}), errShort},
		"attribute too big": {message(rtmNewStats, 2, 5, long), errShort},
		"few counters":      {message(rtmNewStats, 2, 5, short), errShort},
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := parseStats(c.b, 5, nil); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func FuzzParseStats(f *testing.F) {
	f.Add(message(rtmNewStats, 2, 5, stats(7)))
	f.Add(append(message(rtmNewStats, 2, 5, stats(7)), message(nlmsgDone, 2, 5, make([]byte, 4))...))
	f.Add(message(nlmsgError, 0, 5, []byte{1, 2, 3}))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, _, _ := parseStats(b, 5, nil)
		if len(got) > len(b)/(statsHeader+minStats64) {
			t.Errorf("%d readings from %d bytes", len(got), len(b))
		}
	})
}
