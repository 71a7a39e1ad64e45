package control

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestSampleIsReadOnly: whatever is decided, nobody changes what was measured.
func TestSampleIsReadOnly(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 11))
		c := New(Settings{Direction: Direction(seed % 2), Pause: true})
		for now := time.Duration(0); now < 20*time.Second; now += 100 * time.Millisecond {
			in := sanitize(wild(rng, now), c.model.flows.flows)
			c.model.flows.flows = in.Flows
			c.clock.advance(&in)
			s := c.model.estimate(in, &c.clock, c.law.actuation(&c.model))
			before := s
			before.in.Flows = slices.Clone(s.in.Flows)
			c.share(c.decide(c.model.queueing(&s)))
			if !reflect.DeepEqual(s, before) {
				t.Fatalf("seed %d at %v: measured %+v, afterwards %+v", seed, now, before, s)
			}
		}
	}
}

// TestJitterIsLearntFromFalls: a queue that builds up is no noise, and one value that
// is late now and then is.
func TestJitterIsLearntFromFalls(t *testing.T) {
	var rising, restless delayEstimator
	for i := range 100 {
		rising.learnJitter(float64(i) * ms)
		rising.last = float64(i) * ms
		late := float64(i%2) * 4 * ms
		restless.learnJitter(late)
		restless.last = late
	}
	if rising.jitter != 0 {
		t.Errorf("jitter %.2f ms of a queue that builds up", rising.jitter/ms)
	}
	if restless.jitter < 2*ms || restless.jitter > 6*ms {
		t.Errorf("jitter %.2f ms of values that are 0 and 4 ms in turn", restless.jitter/ms)
	}
}

// TestExternalDelayDecays: what was set aside counts no more once it is gone.
func TestExternalDelayDecays(t *testing.T) {
	var d delayEstimator
	d.setAside(externalDelay{external: 40 * ms, noise: 1 * ms, noiseNewest: 1 * ms})
	step := func(delay, span float64) {
		for range int(span / 0.1) {
			d.decay(&sample{dt: 0.1, delay: delay, recent: delay})
		}
	}
	if step(40*ms, 60); d.external < 39*ms {
		t.Errorf("%.1f ms are set aside while 40 ms stay", d.external/ms)
	}
	if step(1*ms, 3); d.external > 5*ms {
		t.Errorf("%.1f ms are set aside 3 s after 40 ms were gone", d.external/ms)
	}
}
