package guard

import (
	"testing"
	"time"

	"lifeline/remediate/roletest"
)

// What one process leaves in the page, the other reads as the time that it was.
func TestBeats(t *testing.T) {
	ours, f, err := newHeartbeats()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	defer ours.close()
	theirs, err := mapHeartbeats(int(f.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.close()
	for _, who := range []int{ofDaemon, ofGuard} {
		from := time.Now()
		ours.beat(who)
		to := time.Now()
		roletest.Eventually(t, "time passes", func() bool { return time.Since(to) > 20*time.Millisecond })
		if at := theirs.last(who); at.Before(from.Add(-time.Millisecond)) {
			t.Errorf("%d: %v before it was given", who, from.Sub(at))
		}
		// A test that is held up sees a later one; not each time.
		roletest.Eventually(t, "the time of the sign", func() bool { return !theirs.last(who).After(to.Add(time.Millisecond)) })
	}
}
