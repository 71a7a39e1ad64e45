package path

import (
	"math"
	"testing"
	"time"
)

const ms = time.Millisecond

// asked sends n requests, one every gap from start on, as run 1, and answers
// each after rtt, in order of time.
func asked(h *history, start time.Duration, n int, gap, rtt time.Duration, firstSeq int) time.Duration {
	for i := range n {
		h.sent(requestID(firstSeq+i), start+time.Duration(i)*gap, false)
		h.answered(requestID(firstSeq+i), start+time.Duration(i)*gap+rtt)
	}
	return start + time.Duration(n)*gap
}

func TestRTTIsMedianOfLastAnswers(t *testing.T) {
	var h history
	if _, ok := h.rtt(0, 0); ok {
		t.Error("an RTT without an answer")
	}
	now := asked(&h, 0, 20, 50*ms, 2*ms, 0)
	now = asked(&h, now, 1, 50*ms, 40*ms, 20) // one outlier
	if rtt, ok := h.rtt(now, 0); !ok || rtt != 2*ms {
		t.Errorf("got %v, %v, want 2ms", rtt, ok)
	}
	now = asked(&h, now, 3, 50*ms, 30*ms, 21)
	if rtt, _ := h.rtt(now, 0); rtt != 30*ms {
		t.Errorf("200 ms after the change: %v, want 30ms", rtt)
	}
	if got := h.loss(now); got != 0 {
		t.Errorf("loss %v, want 0", got)
	}
}

func TestRTTOfSlowPaceUsesLastThree(t *testing.T) {
	var h history
	asked(&h, 0, 10, time.Second, 2*ms, 0)
	now := asked(&h, 10*time.Second, 3, 200*ms, 20*ms, 10)
	if rtt, _ := h.rtt(now, 0); rtt != 20*ms {
		t.Errorf("got %v, want 20ms", rtt)
	}
}

func TestAnswersFromBeforeDoNotCount(t *testing.T) {
	var h history
	now := asked(&h, 0, 3, 100*ms, 2*ms, 0)
	if _, ok := h.rtt(now, now); ok {
		t.Error("answers from before count")
	}
	now = asked(&h, now, 1, 100*ms, 9*ms, 3)
	if rtt, ok := h.rtt(now, now-100*ms); !ok || rtt != 9*ms {
		t.Errorf("got %v, %v", rtt, ok)
	}
}

func TestWaitingRequestsShowAQueueThatBuildsUp(t *testing.T) {
	var h history
	now := asked(&h, 0, 20, 50*ms, 1*ms, 0)
	for i := range 5 { // a queue of half a second: no answer yet
		h.sent(requestID(20+i), now+time.Duration(i)*50*ms, false)
	}
	now += 250 * ms
	rtt, ok := h.rtt(now, 0)
	if !ok || rtt < 40*ms || rtt > 250*ms {
		t.Errorf("got %v, %v, want something between the youngest and the oldest that wait", rtt, ok)
	}
	if !h.overdue(now) {
		t.Error("not overdue")
	}
}

func TestLostRequestIsNoDelay(t *testing.T) {
	var h history
	now := asked(&h, 0, 20, 50*ms, 1*ms, 0)
	h.sent(requestID(20), now, false) // lost
	if rtt, _ := h.rtt(now+time.Second, 0); rtt != 1*ms {
		t.Errorf("one request that waits gives %v", rtt)
	}
	now = asked(&h, now+50*ms, 10, 50*ms, 1*ms, 21)
	h.giveUpOvertaken(now)
	if rtt, _ := h.rtt(now, 0); rtt != 1*ms {
		t.Errorf("RTT %v after a loss, want 1ms", rtt)
	}
	if got, want := h.loss(now), 1.0/31; math.Abs(got-want) > 1e-9 {
		t.Errorf("loss %v, want %v", got, want)
	}
	if len(h.pending) != 0 {
		t.Errorf("pending %v", h.pending)
	}
}

func TestLossIsUnknownWithoutAnyFate(t *testing.T) {
	var h history
	if !math.IsNaN(h.loss(0)) {
		t.Error("loss known before anything was sent")
	}
	h.sent(requestID(0), 0, false)
	h.giveUpOvertaken(time.Minute)
	if !math.IsNaN(h.loss(time.Minute)) {
		t.Error("loss known although nothing was ever answered")
	}
}

func TestSilence(t *testing.T) {
	var h history
	now := asked(&h, 0, 5, time.Second, 1*ms, 0)
	h.sent(requestID(5), now, false)
	if got := h.silence(now + time.Minute); got != 0 {
		t.Errorf("one unanswered request is a silence of %v", got)
	}
	h.sent(requestID(6), now+time.Second, false)
	if got := h.silence(now + time.Second); got != 0 {
		t.Errorf("silent for %v within patience", got)
	}
	if got := h.silence(now + 5*time.Second); got != 5*time.Second {
		t.Errorf("silent for %v, want 5s", got)
	}
	if rtt, _ := h.rtt(now+time.Hour, 0); rtt != 1*ms {
		t.Errorf("silence makes an RTT of %v", rtt)
	}
	h.answered(requestID(6), now+6*time.Second)
	if got := h.silence(now + 7*time.Second); got != 0 {
		t.Errorf("silent for %v after an answer", got)
	}
}

func TestFailedRequestsAreSilenceAndNotLoss(t *testing.T) {
	var h history
	now := asked(&h, 0, 5, time.Second, 1*ms, 0)
	for i := range 5 {
		h.sent(requestID(100+i), now+time.Duration(i)*time.Second, true)
	}
	now += 5 * time.Second
	if got := h.silence(now); got != 5*time.Second {
		t.Errorf("silent for %v, want 5s", got)
	}
	now = asked(&h, now, 5, time.Second, 1*ms, 20)
	h.giveUpOvertaken(now)
	if got := h.loss(now); got != 0 || len(h.pending) != 0 {
		t.Errorf("loss %v, pending %v", got, h.pending)
	}
}

func TestForgottenRequestsAreNeitherLostNorSilent(t *testing.T) {
	var h history
	now := asked(&h, 0, 5, 50*ms, 1*ms, 0)
	h.sent(requestID(5), now, false)
	h.sent(requestID(6), now+50*ms, false)
	h.forget(now + 60*ms)
	if h.silence(now+time.Minute) != 0 || len(h.pending) != 0 {
		t.Errorf("silence %v, pending %v", h.silence(now+time.Minute), h.pending)
	}
}

func TestPendingIsBounded(t *testing.T) {
	var h history
	for i := range 10 * maxPending {
		h.sent(requestID(i), time.Duration(i)*time.Second, false)
	}
	now := 10 * maxPending * time.Second
	if len(h.pending) != maxPending || h.silence(now) != now {
		t.Errorf("%d pending, silent for %v", len(h.pending), h.silence(now))
	}
}

func TestStrangeAnswersAreIgnored(t *testing.T) {
	var h history
	if _, ok := h.answered(requestID(99), time.Second); ok || h.heard {
		t.Error("an answer to nothing was taken")
	}
	asked(&h, 0, 1, time.Second, 1*ms, 0)
	if _, ok := h.answered(requestID(0), time.Second); ok {
		t.Error("a duplicate was taken")
	}
}

func FuzzHistory(f *testing.F) {
	f.Add([]byte("\x00\x10\x01\x00\x00\x20\x02\x03\x01\x05"))
	f.Fuzz(func(t *testing.T, ops []byte) {
		var h history
		var now time.Duration
		for i := 0; i+1 < len(ops); i += 2 {
			now += time.Duration(ops[i+1]) * 10 * ms
			id := requestID(ops[i]>>6)<<4 | requestID(ops[i+1]&15)
			switch ops[i] & 3 {
			case 0:
				h.sent(id, now, ops[i]&4 != 0)
			case 1:
				if rtt, ok := h.answered(id, now); ok && (rtt < 0 || rtt > now) {
					t.Fatalf("RTT %v at %v", rtt, now)
				}
			case 2:
				h.giveUpOvertaken(now)
			default:
				h.forget(now)
			}
			if loss := h.loss(now); loss < 0 || loss > 1 {
				t.Fatalf("loss %v", loss)
			}
			rtt, ok := h.rtt(now, 0)
			if ok != h.heard || rtt < 0 || rtt > max(h.slowest(), patience) {
				t.Fatalf("RTT %v, %v, heard %v", rtt, ok, h.heard)
			}
			if s := h.silence(now); s < 0 || s > now || len(h.pending) > maxPending {
				t.Fatalf("silent for %v at %v, %d pending", s, now, len(h.pending))
			}
		}
	})
}

// A target that answered and is silent now loses what it is asked, though no
// later answer overtakes that. What could not be sent was lost by nobody.
func TestLossOfASilentTarget(t *testing.T) {
	var h history
	now := asked(&h, 0, 20, time.Second, 1*ms, 0)
	for i := range 40 {
		h.sent(requestID(100+i), now, i%10 == 9)
		now += time.Second
		h.giveUpOvertaken(now)
		switch loss := h.loss(now); {
		case i < 2 && loss != 0:
			t.Errorf("loss %v within patience", loss)
		case i == 11 && (loss < 0.2 || loss > 0.5):
			t.Errorf("loss %v after 12 s", loss)
		case i > 31 && loss != 1:
			t.Errorf("loss %v after %d s of silence", loss, i+1)
		}
	}
	h.answered(requestID(139), now)
	h.giveUpOvertaken(now)
	if loss := h.loss(now); loss < 0.9 || loss == 1 {
		t.Errorf("loss %v with the first answer after", loss)
	}
}
