package path

import (
	"testing"
	"time"
)

// feed gives n answers, one a second.
func (b *base) feed(start time.Duration, n int, rtt time.Duration, idle bool) time.Duration {
	for i := range n {
		b.learn(rtt, idle, start+time.Duration(i)*time.Second)
	}
	return start + time.Duration(n)*time.Second
}

func TestBaseIsLearntIdle(t *testing.T) {
	var b base
	now := b.feed(0, 3, 30*ms, true)
	if b.trusted() {
		t.Error("trusted after three answers")
	}
	b.feed(now, idleAnswers, 20*ms, true)
	if !b.trusted() || b.rtt != 20*ms {
		t.Errorf("base %v, trusted %v", b.rtt, b.trusted())
	}
}

func TestBaseLearntUnderLoadIsSuspect(t *testing.T) {
	var b base
	now := b.feed(0, 1000, 104*ms, false)
	if b.trusted() {
		t.Fatal("a base learnt under load is trusted")
	}
	now = b.feed(now, 1, 21*ms, false)
	if b.rtt != 21*ms || b.trusted() {
		t.Errorf("lower answer gives %v, trusted %v", b.rtt, b.trusted())
	}
	b.feed(now, idleAnswers, 23*ms, true)
	if !b.trusted() || b.rtt != 23*ms {
		t.Errorf("after idleness %v, trusted %v", b.rtt, b.trusted())
	}
}

func TestSmallBaseHidesNothing(t *testing.T) {
	var b base
	b.feed(0, 1, 104*ms, false)
	b.feed(time.Second, 1, 200*time.Microsecond, false)
	if !b.trusted() {
		t.Error("a base of 0.2 ms cannot hide a queue")
	}
}

func TestBaseNeverRisesUnderLoad(t *testing.T) {
	var b base
	now := b.feed(0, idleAnswers, 1*ms, true)
	b.feed(now, 100_000, 80*ms, false)
	if b.rtt != 1*ms {
		t.Errorf("base %v, want 1ms", b.rtt)
	}
}

func TestBaseDriftsUpSlowlyWhileIdle(t *testing.T) {
	var b base
	now := b.feed(0, 60, 1*ms, true)
	now = b.feed(now, 5, 21*ms, true)
	if b.rtt != 1*ms {
		t.Errorf("base %v after five answers, want 1ms", b.rtt)
	}
	now = b.feed(now, 30, 21*ms, true)
	if b.rtt < 3*ms || b.rtt > 12*ms {
		t.Errorf("base %v after half a minute", b.rtt)
	}
	b.feed(now, 600, 21*ms, true)
	if b.rtt < 20*ms || b.rtt > 21*ms {
		t.Errorf("base %v after ten minutes, want nearly 21ms", b.rtt)
	}
}

func TestBaseIgnoresAGapInTime(t *testing.T) {
	var b base
	now := b.feed(0, 60, 1*ms, true)
	b.learn(50*ms, true, now)
	for i := range idleAnswers {
		b.learn(50*ms, true, now+time.Duration(i+1)*time.Hour)
	}
	if b.rtt > 15*ms {
		t.Errorf("base jumped to %v over a suspend", b.rtt)
	}
}

func TestWorthOfGateway(t *testing.T) {
	see := func(w *gatewayTrust, n int, queue time.Duration, idle bool) {
		for range n {
			w.observe(queue, idle)
		}
	}
	firm := func(w *gatewayTrust, now time.Duration) bool { return w.usable(true, now) && !w.unproven(true) }
	t.Run("late under load only", func(t *testing.T) {
		var w gatewayTrust
		see(&w, 100, 0, true)
		see(&w, lateToProve-1, 20*ms, false)
		if firm(&w, 0) || !w.usable(true, 0) {
			t.Error("proven too early, or does not count until then")
		}
		see(&w, 1, 20*ms, false)
		if !firm(&w, 0) {
			t.Error("not proven")
		}
		w.distrust(time.Minute)
		if w.usable(true, time.Minute) {
			t.Error("counts although it is doubted")
		}
		if !w.usable(true, time.Minute+distrustFor) || firm(&w, time.Minute+distrustFor) {
			t.Error("after the doubt it has to be proven again")
		}
	})
	t.Run("late when it pleases", func(t *testing.T) {
		var w gatewayTrust
		see(&w, 50, 0, true)
		see(&w, 50, 20*ms, true)
		see(&w, 100, 20*ms, false)
		w.confirm()
		w.confirm()
		if w.usable(true, 0) || firm(&w, 0) {
			t.Error("counts although it is late without load")
		}
	})
	t.Run("proof is withdrawn", func(t *testing.T) {
		var w gatewayTrust
		see(&w, 20, 0, true)
		see(&w, lateToProve, 20*ms, false)
		see(&w, 20, 20*ms, true)
		if w.usable(true, 0) {
			t.Error("still counts although it is late without load")
		}
	})
	t.Run("a single late answer", func(t *testing.T) {
		var w gatewayTrust
		for range 100 {
			see(&w, lateToProve-1, 20*ms, false)
			see(&w, 1, 0, false)
		}
		if firm(&w, 0) {
			t.Error("proven by outliers")
		}
	})
	t.Run("its queue goes with the limits", func(t *testing.T) {
		var w gatewayTrust
		see(&w, 10, 0, true)
		see(&w, 1, 20*ms, true)
		w.confirm()
		if firm(&w, 0) {
			t.Error("proven by what may be chance")
		}
		w.confirm()
		if !firm(&w, 0) {
			t.Error("not proven by a second one")
		}
		w = gatewayTrust{}
		see(&w, idleToTrustOneDrain, 0, true)
		w.confirm()
		if !firm(&w, 0) {
			t.Error("not proven")
		}
	})
	t.Run("others need no proof, but may be doubted", func(t *testing.T) {
		var w gatewayTrust
		if !w.usable(false, 0) || w.unproven(false) {
			t.Error("does not count")
		}
		w.distrust(0)
		if w.usable(false, time.Minute) || !w.usable(false, distrustFor) {
			t.Error("doubt does not last as long as it should")
		}
	})
}
