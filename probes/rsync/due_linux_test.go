package rsync

import (
	"testing"
	"time"

	"lifeline/probes/rsync/discovery"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/sockets"
	"lifeline/watchdog"
)

// Transfers that were born at different times are measured by the same samples
// once they are old, and young ones by each.
func TestOldTransfersAreMeasuredTogether(t *testing.T) {
	p := &Probe{}
	const tick = 100 * time.Millisecond
	born := []time.Duration{0, 100 * time.Millisecond, 250 * time.Millisecond, 9500 * time.Millisecond}
	var ts []*transfer
	for range born {
		ts = append(ts, &transfer{Transfer: watchdog.Transfer{Socket: watchdog.Socket{Inode: 1}, TCP: watchdog.TCP{Known: true}}})
	}
	together := 0
	for now := 8 * time.Second; now < 11*time.Second; now += tick {
		p.beginSample(now)
		old := 0
		for i, x := range ts {
			x.Age = now - born[i]
			switch due := p.due(x, now); {
			case due && x.Age > measuredYoung:
				old++
			case !due && x.Age <= measuredYoung:
				t.Errorf("at %v: %d is young and not measured", now, i)
			}
		}
		switch old {
		case 3:
			together++
		case 0:
		default:
			t.Errorf("at %v: %d of 3 old ones are measured", now, old)
		}
	}
	if together < 10 || together > 16 {
		t.Errorf("measured %d times in 30 samples, want every other", together)
	}
}

// While limits are on their way every sample measures all.
func TestAllAreMeasuredWhileLimitsMove(t *testing.T) {
	p := &Probe{}
	x := &transfer{Transfer: watchdog.Transfer{Age: time.Hour, Socket: watchdog.Socket{Inode: 1}, TCP: watchdog.TCP{Known: true}}}
	measured := func(samples int) (n int) {
		for now := time.Second; samples > 0; samples-- {
			now += 100 * time.Millisecond
			if p.beginSample(now); p.due(x, now) {
				n++
			}
		}
		return n
	}
	p.measureAll = true
	if n := measured(20); n != 20 {
		t.Errorf("moving: measured %d times in 20 samples", n)
	}
	p.measureAll = false
	p.allDueAt = 0
	if n := measured(20); n < 9 || n > 14 {
		t.Errorf("at rest: measured %d times in 20 samples, want about every other", n)
	}
}

// Between two measurements the list is the same one, unless something is known
// better by then.
func TestListIsMadeWhenSomethingChanged(t *testing.T) {
	p := &Probe{files: make(chan []fileRequest, 1), sockets: sockets.NewDuplicator(proc.FS{Root: "/proc"})}
	p.discovery = discovery.New(discovery.Options{}, p)
	x := &transfer{Transfer: watchdog.Transfer{ID: "t1", Procs: []watchdog.ProcID{{PID: 1}}}, visible: true}
	p.transfers = map[watchdog.TransferID]*transfer{x.ID: x}
	p.retain(map[watchdog.TransferID]bool{x.ID: true})
	p.files <- nil // nobody looks files up
	list := func(now time.Duration) *watchdog.Transfer {
		all, _, _ := p.Sample(now, false)
		if len(all) != 1 {
			t.Fatalf("listed %d", len(all))
		}
		return &all[0]
	}
	first := list(time.Second)
	if list(time.Second+measureEvery/2) != first {
		t.Error("made anew, and nothing changed")
	}
	p.retain(map[watchdog.TransferID]bool{x.ID: true})
	second := list(time.Second + measureEvery/2)
	if second == first {
		t.Error("discovery is not heard")
	}
	if list(time.Second+measureEvery) == second {
		t.Error("not measured again in time")
	}
	p.retain(nil)
	if all, _, _ := p.Sample(time.Second+measureEvery, false); len(all) != 0 {
		t.Errorf("after its end: %v", all)
	}
}
