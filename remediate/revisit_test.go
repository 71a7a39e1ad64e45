package remediate

import (
	"testing"
	"time"

	"lifeline/watchdog"
)

// The clamp of a receiver that waited for its first data is lost with them. It is set
// again at the next turn, and not looked for at each turn after that.
func TestClampIsSetAgainWithTheFirstData(t *testing.T) {
	simulate(t, Settings{}, func(t *testing.T, b *bench) {
		x := b.add(1, watchdog.Rx)
		s := b.sockOf(x)
		b.limit(1, watchdog.Limit{Window: 8192})
		b.tick()
		x.Age, x.TCP.Known = time.Minute, true
		noFails(t, b.tick())
		undone := func(received uint64) int64 {
			s.WindowClamp, s.Received = 83<<10, received
			x.TCP.BytesReceived = received
			noFails(t, b.tick())
			return s.WindowClamp
		}
		for _, received := range []uint64{600, 6000, firstData + 1448} {
			if got := undone(received); got != 8192 {
				t.Errorf("after %d bytes: clamp %d", received, got)
			}
		}
		if got := undone(2 * firstData); got == 8192 {
			t.Error("looked at each turn, though the path's packets are known")
		}
		for range 11 {
			noFails(t, b.tick())
		}
		if s.WindowClamp != 8192 {
			t.Errorf("never looked at again: clamp %d", s.WindowClamp)
		}
	})
}
