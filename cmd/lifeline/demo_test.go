package main

import (
	"strings"
	"testing"
	"time"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog/lab"
)

// The live picture fits a terminal of 80 columns, whatever it shows.
func TestDemoRows(t *testing.T) {
	bad := scenario.Moment{At: 12 * time.Second, RTT: 149300 * time.Microsecond, Goodput: 117.04e6}
	good := scenario.Moment{At: 119 * time.Second, RTT: 12 * time.Millisecond, Goodput: 91.7e6}
	lost := scenario.Moment{RTT: lab.Never, Goodput: 0}
	for _, c := range []struct {
		got, want string
	}{
		{row(bad.At, bad, nil), " 12.0 s   149.3 ms 117.0 Mbit/s                           |............... |"},
		{row(good.At, bad, &good), "119.0 s   149.3 ms 117.0 Mbit/s     12.0 ms  91.7 Mbit/s  |#.............. |"},
		{row(0, bad, &lost), "  0.0 s   149.3 ms 117.0 Mbit/s   no answer   0.0 Mbit/s  |################|"},
	} {
		if c.got != c.want || len(c.got) > 79 {
			t.Errorf("%d columns\n%s\nwant\n%s", len(c.got), c.got, c.want)
		}
	}
	for what, end := range map[string]string{
		"without Lifeline": " 12.0 s   149.3 ms 117.0 Mbit/s", "with Lifeline": " 12.0 s   149.3 ms 117.0 Mbit/s     12.0 ms  91.7 Mbit/s",
	} {
		if at := strings.Index(heading, " "+what) + 1; at+len(what) != len(end) {
			t.Errorf("%q ends in column %d, its figures in %d:\n%s", what, at+len(what), len(end), heading)
		}
	}
}

func TestDemoNearest(t *testing.T) {
	ms := []scenario.Moment{{At: 1 * time.Second, Goodput: 1}, {At: 2 * time.Second, Goodput: 2}, {At: 3 * time.Second, Goodput: 3}}
	for at, want := range map[time.Duration]float64{0: 1, 1600 * time.Millisecond: 2, 9 * time.Second: 3} {
		if got := nearest(ms, at); got.Goodput != want {
			t.Errorf("at %s: %v, want %v", at, got.Goodput, want)
		}
	}
	if got := nearest(nil, time.Second); got != (scenario.Moment{}) {
		t.Errorf("of none: %+v", got)
	}
}
