package rsync

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

// Idle transfers are measured in portions: a sample asks for no more of them however many
// there are, each has its turn, and those that move are measured as ever.
func TestIdleTransfersAreMeasuredInPortions(t *testing.T) {
	const n = 2000
	p := &Probe{}
	measured := map[*transfer]int{}
	for i := range n {
		p.order = append(p.order, &transfer{Transfer: watchdog.Transfer{
			Age: time.Hour, Idle: i%100 != 0, Socket: watchdog.Socket{Inode: 1}, TCP: watchdog.TCP{Known: true},
		}})
	}
	samples := 0
	for now := time.Second; now < 20*time.Second; now += 100 * time.Millisecond {
		if p.beginSample(now); !p.allDue {
			continue
		}
		p.giveTurns()
		samples++
		asked := 0
		for _, x := range p.order {
			if p.due(x, now) {
				measured[x]++
				asked++
			}
		}
		if asked > idlePerSample+n/100 {
			t.Fatalf("a sample asks for %d", asked)
		}
	}
	for i, x := range p.order {
		if want := map[bool]int{true: samples, false: 1}[i%100 == 0]; measured[x] < want {
			t.Errorf("%d was measured %d times in %d samples", i, measured[x], samples)
		}
	}
}

// A sender that is held at the lowest pacing rate sends 64 KB at once and is silent for
// 8 s: it is not idle, and its part of the budget is not given away. A stopped one, and one
// that moves, is not either.
func TestIdleIsWhoMovesNothingOfItself(t *testing.T) {
	const step = 100 * time.Millisecond
	for name, c := range map[string]struct {
		step func(x *transfer, now time.Duration)
		want bool
	}{
		"nothing to send":           {want: true, step: func(*transfer, time.Duration) {}},
		"a peer that does not read": {want: true, step: func(x *transfer, _ time.Duration) { x.unsent = true }},
		"a few bytes to keep it up": {want: true, step: func(x *transfer, _ time.Duration) { x.TCP.BytesReceived += 4 }},
		"stopped":                   {step: func(x *transfer, _ time.Duration) { x.Stopped = true }},
		"held at 8000 bytes/s": {step: func(x *transfer, now time.Duration) {
			if x.unsent = true; now%(8*time.Second) < step {
				x.TCP.BytesAcked += 64 << 10
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			p, x, idle := &Probe{}, &transfer{visible: true, directionKnown: true}, false
			for now := step; now < time.Minute; now += step {
				x.Age = now
				c.step(x, now)
				p.noteIdle(x, now)
				idle = idle || x.Idle
			}
			if idle != c.want {
				t.Errorf("idle: %v, want %v", idle, c.want)
			}
		})
	}
}
