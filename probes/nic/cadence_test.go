package nic

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

// driven samples a link that moves rate bytes/s and whose driver renews its
// counters every period, at each tick from start for span.
func driven(tr *track, start, span, period time.Duration, rate float64) (got []watchdog.Rates, end time.Duration) {
	for now := start; now < start+span; now += tick {
		seen := now.Truncate(period)
		bytes := uint64(rate * seen.Seconds())
		c := [2]watchdog.Counters{{Bytes: bytes, Packets: bytes / 1000}}
		got = append(got, tr.step(now, &c, 0)[watchdog.Rx])
	}
	return got, start + span
}

func TestSlowDriverIsNoSpike(t *testing.T) {
	const rate = 50e6
	for _, period := range []time.Duration{300 * time.Millisecond, time.Second, 2 * time.Second} {
		t.Run(period.String(), func(t *testing.T) {
			var tr track
			_, now := driven(&tr, 0, 6*period, period, rate)
			got, now := driven(&tr, now, 10*period, period, rate)
			for i, r := range got {
				if !r.Known || r.Bytes < 0.99*rate || r.Bytes > 1.01*rate {
					t.Fatalf("sample %d: %+v", i, r)
				}
			}
			for i := range 40 { // the link falls still
				last := tr.last
				r := tr.step(now+time.Duration(i)*tick, &last, 0)[watchdog.Rx]
				if quiet := time.Duration(i+1) * tick; quiet > 2*period && (!r.Known || r.Bytes != 0) {
					t.Fatalf("%v after the last packet: %+v", quiet, r)
				}
			}
		})
	}
}

func TestSlowDriverIsUnknownUntilFoundOut(t *testing.T) {
	const rate = 50e6
	var tr track
	got, _ := driven(&tr, 0, 5*time.Second, time.Second, rate)
	spikes := 0
	for _, r := range got {
		if r.Known && r.Bytes > 2*rate {
			spikes++
		}
	}
	if spikes > 1 { // the first may be a burst of traffic
		t.Errorf("%d spikes", spikes)
	}
}

func TestPromptDriverIsNotSmoothed(t *testing.T) {
	var tr track
	bytes := uint64(0)
	for i := range 100 {
		add := uint64(1e6)
		if i%10 == 9 {
			add = 9e6 // traffic that comes in bursts over a steady rate
		}
		bytes += add
		c := [2]watchdog.Counters{{Bytes: bytes, Packets: bytes / 1000}}
		r := tr.step(time.Duration(i)*tick, &c, 0)[watchdog.Rx]
		if want := float64(add) * 10; i > 0 && (!r.Known || r.Bytes < 0.99*want || r.Bytes > 1.01*want) {
			t.Fatalf("sample %d: %+v, want %v", i, r, want)
		}
	}
}

func TestDriverThatBecomesPrompt(t *testing.T) {
	var tr track
	_, now := driven(&tr, 0, 6*time.Second, time.Second, 50e6)
	got, _ := driven(&tr, now, 2*time.Second, tick, 50e6)
	for i, r := range got[3:] {
		if !r.Known || r.Bytes < 49e6 || r.Bytes > 51e6 {
			t.Errorf("sample %d: %+v", i, r)
		}
	}
	if tr.cadence.period != 0 {
		t.Errorf("period %v", tr.cadence.period)
	}
}

func TestTrafficThatBeginsIsSeenAtOnce(t *testing.T) {
	var tr track
	driven(&tr, 0, 5*time.Second, tick, 0)
	got, _ := driven(&tr, 5*time.Second, time.Second, tick, 50e6)
	if !got[0].Known || got[0].Bytes == 0 {
		t.Errorf("first sample with traffic: %+v", got[0])
	}
}
