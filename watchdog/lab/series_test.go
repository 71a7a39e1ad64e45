package lab

import (
	"math"
	"slices"
	"testing"
	"time"
)

const ms = time.Millisecond

// steady is a series with a sample every 100 ms.
func steady(rtts ...time.Duration) Series {
	var s Series
	for i, rtt := range rtts {
		s = append(s, Sample{At: time.Duration(i) * 100 * ms, RTT: rtt, Lost: rtt == Never})
	}
	return s
}

func TestPercentile(t *testing.T) {
	s := steady(30*ms, 10*ms, Never, 20*ms, 40*ms)
	for _, c := range []struct {
		p    float64
		want time.Duration
	}{{0, 10 * ms}, {25, 10 * ms}, {50, 20 * ms}, {51, 30 * ms}, {99, 40 * ms}, {100, 40 * ms}} {
		if got := s.Percentile(c.p); got != c.want {
			t.Errorf("percentile %v = %v, want %v", c.p, got, c.want)
		}
	}
	if got := s.Max(); got != 40*ms {
		t.Errorf("max = %v", got)
	}
	if got := steady(Never).Percentile(50); got != Never {
		t.Errorf("median without an answer = %v, want Never", got)
	}
}

func TestLoss(t *testing.T) {
	if got := steady(ms, Never, ms, Never).Loss(); got != 0.5 {
		t.Errorf("loss = %v, want 0.5", got)
	}
	if got := (Series{}).Loss(); !math.IsNaN(got) {
		t.Errorf("loss of nothing = %v, want NaN", got)
	}
}

func TestMedians(t *testing.T) {
	s := steady(1*ms, 9*ms, 2*ms, Never, Never, 3*ms, 3*ms)
	got := s.Medians(0, 300*ms)
	want := []Window{{0, 2 * ms}, {300 * ms, Never}, {600 * ms, 3 * ms}}
	if !slices.Equal(got, want) {
		t.Errorf("medians = %v, want %v", got, want)
	}
	gap := Series{{At: 0, RTT: ms}, {At: 950 * ms, RTT: 2 * ms}}
	if got := gap.Medians(0, 300*ms); !slices.Equal(got, []Window{{0, ms}, {900 * ms, 2 * ms}}) {
		t.Errorf("medians around a gap = %v", got)
	}
}

func TestTimeToCalm(t *testing.T) {
	fill := func(rtts ...time.Duration) Series { // each for one window
		var all []time.Duration
		for _, rtt := range rtts {
			all = append(all, slices.Repeat([]time.Duration{rtt}, 5)...)
		}
		return steady(all...)
	}
	for _, c := range []struct {
		name  string
		s     Series
		start time.Duration
		want  time.Duration
		ok    bool
	}{
		{"never disturbed", fill(ms, ms, ms), 0, 0, true},
		{"calm after two windows", fill(50*ms, 50*ms, ms, ms), 0, time.Second, true},
		{"a relapse counts", fill(50*ms, ms, 50*ms, ms), 0, 1500 * ms, true},
		{"trouble before the start does not", fill(50*ms, 50*ms, ms), 1000 * ms, 0, true},
		{"still disturbed", fill(ms, 50*ms), 0, time.Second, false},
		{"lost is not calm", fill(ms, Never), 0, time.Second, false},
		{"nothing known", nil, 0, 0, false},
	} {
		got, ok := c.s.TimeToCalm(c.start, 10*ms)
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestBetween(t *testing.T) {
	s := steady(1*ms, 2*ms, 3*ms)
	if got := s.Between(100*ms, 200*ms); !slices.Equal(got, s[1:2]) {
		t.Errorf("between = %v", got)
	}
}
