package lab

import (
	"slices"
	"testing"
	"time"
)

func TestCalmForGood(t *testing.T) {
	for _, c := range []struct {
		name  string
		s     Series
		start time.Duration
		want  time.Duration
		ok    bool
	}{
		{"never disturbed", steady(ms, 19*ms, ms), 0, 0, true},
		{"the limit itself is too long", steady(20*ms, ms), 0, 100 * ms, true},
		{"calm after two", steady(50*ms, 50*ms, ms, ms), 0, 200 * ms, true},
		{"one relapse counts", steady(50*ms, ms, ms, 50*ms, ms), 0, 400 * ms, true},
		{"one lost counts", steady(50*ms, ms, ms, Never, ms), 0, 400 * ms, true},
		{"trouble before the start does not", steady(50*ms, 50*ms, ms), 200 * ms, 0, true},
		{"from the start", steady(ms, 50*ms, ms), 100 * ms, 100 * ms, true},
		{"still disturbed", steady(ms, 50*ms), 0, 0, false},
		{"lost at the end", steady(ms, Never), 0, 0, false},
		{"nothing known", nil, 0, 0, false},
	} {
		if got, ok := c.s.CalmForGood(c.start, 20*ms); got != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v; want %v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestAbove(t *testing.T) {
	s := steady(50*ms, 20*ms, 19*ms, Never, 30*ms)
	if got, want := s.Above(100*ms, 20*ms), (Series{s[1], s[3], s[4]}); !slices.Equal(got, want) {
		t.Errorf("above = %v, want %v", got, want)
	}
}
