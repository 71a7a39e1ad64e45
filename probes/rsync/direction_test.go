package rsync

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

func TestJudge(t *testing.T) {
	yes, no := true, false
	const kB, mB = 1 << 10, 1 << 20
	for name, c := range map[string]struct {
		e    directionEvidence
		want watchdog.Direction
		sure bool
	}{
		"command line: sends":                       {directionEvidence{Sends: &yes, Pair: true}, watchdog.Tx, true},
		"command line: receives":                    {directionEvidence{Sends: &no, Acked: mB}, watchdog.Rx, true},
		"a read only module":                        {directionEvidence{ReadOnly: true, Received: 5 * mB}, watchdog.Tx, true},
		"a write only module":                       {directionEvidence{WriteOnly: true}, watchdog.Rx, true},
		"a module that is both":                     {directionEvidence{WriteOnly: true, ReadOnly: true}, watchdog.Rx, false},
		"nothing yet":                               {directionEvidence{Received: 300, Acked: 200}, watchdog.Rx, false},
		"generator and receiver":                    {directionEvidence{Pair: true, Reads: true, Acked: 200 * mB}, watchdog.Rx, true},
		"a file list comes in":                      {directionEvidence{Received: 100 * kB, Acked: kB}, watchdog.Rx, false},
		"files come in":                             {directionEvidence{Received: mB, Acked: kB}, watchdog.Rx, true},
		"files go out":                              {directionEvidence{Received: kB, Acked: 100 * kB}, watchdog.Tx, true},
		"the first block goes out":                  {directionEvidence{Reads: true, Received: 300, Acked: 5 * kB}, watchdog.Tx, true},
		"a file is opened to be sent":               {directionEvidence{Reads: true, Received: 300, Acked: 200}, watchdog.Tx, false},
		"checksums come in before the first block":  {directionEvidence{Reads: true, Received: 60 * kB, Acked: 30 * kB}, watchdog.Tx, false},
		"a file is written, checksums went out":     {directionEvidence{Writes: true, Received: 300 * kB, Acked: 200 * kB}, watchdog.Rx, true},
		"as much in as out, with no file in sight":  {directionEvidence{Received: 50 * kB, Acked: 50 * kB}, watchdog.Rx, false},
		"checksums come in, few blocks go out":      {directionEvidence{Reads: true, Received: 200 * kB, Acked: 60 * kB}, watchdog.Tx, false},
		"a long file list goes out before anything": {directionEvidence{Received: 500, Acked: 17 * kB}, watchdog.Tx, true},
	} {
		got, sure := inferDirection(c.e)
		if got != c.want || sure != c.sure {
			t.Errorf("%s: got %v, %v; want %v, %v", name, got, sure, c.want, c.sure)
		}
	}
}

func TestMeter(t *testing.T) {
	var m meter
	if got := m.add(5*time.Second, 1000); got != 0 {
		t.Errorf("first reading: %v", got)
	}
	for i := 1; i <= 300; i++ {
		at := 5*time.Second + time.Duration(i)*20*time.Millisecond
		got := m.add(at, 1000+uint64(i)*200)
		if got < 9900 || got > 10100 {
			t.Fatalf("at %v: %v bytes/s, want 10000", at, got)
		}
	}
	stop := 11 * time.Second
	for i := range 15 {
		at := stop + time.Duration(i+1)*100*time.Millisecond
		got := m.add(at, 61000)
		if i >= 12 && got != 0 {
			t.Errorf("%v after the last byte: %v bytes/s", at-stop, got)
		}
	}
	if got := m.add(13*time.Second, 5); got != 0 {
		t.Errorf("a counter that went back: %v", got)
	}
	if got := m.add(13500*time.Millisecond, 505); got != 1000 {
		t.Errorf("after it: %v, want 1000", got)
	}
	if got := m.add(13500*time.Millisecond, 505); got != 1000 {
		t.Errorf("twice at the same moment: %v", got)
	}
}
