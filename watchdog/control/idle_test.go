package control

import (
	"fmt"
	"testing"
	"time"
)

// TestIdleTransfersTakeNoPart: any peer can open connections that move nothing. However
// many there are, the others have what they have without them.
func TestIdleTransfersTakeNoPart(t *testing.T) {
	active := func(dir Direction, idle int, queue time.Duration) (sum float64) {
		b := newBench(Settings{Direction: dir, Pause: true, MaxRunning: 6}, 6)
		b.load(95 * mbit)
		b.in.Delay.Queue = queue
		for i := range b.in.Flows {
			b.in.Flows[i].RTT = time.Millisecond + queue
		}
		for i := range idle {
			b.in.Flows = append(b.in.Flows, Flow{
				ID: fmt.Sprint("idle", i), Remaining: -1, Age: time.Minute, Floor: 2896, RTT: 200 * time.Microsecond,
				MinRTT: 200 * time.Microsecond, Limitable: true, Pausable: true, Idle: true,
			})
		}
		b.run(20*time.Second, nil)
		for i, l := range b.out.Flows {
			if i >= 6 {
				if l.Pause {
					t.Errorf("%v, queue %v: an idle one is paused", dir, queue)
				}
				continue
			}
			if l.Pause {
				t.Errorf("%v, queue %v: one of six is paused beside %d idle ones", dir, queue, idle)
			}
			sum += l.Pacing + float64(l.Window)
		}
		return sum
	}
	for _, dir := range []Direction{Rx, Tx} {
		for _, queue := range []time.Duration{0, 12 * time.Millisecond} {
			alone, crowded := active(dir, 0, queue), active(dir, 400, queue)
			if crowded < 0.95*alone || crowded > 1.05*alone {
				t.Errorf("%v, queue %v: %.0f beside 400 idle ones, %.0f without", dir, queue, crowded, alone)
			}
		}
	}
}
