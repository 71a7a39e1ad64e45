package metrics

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	dto "github.com/prometheus/client_model/go"

	"lifeline/watchdog"
	"lifeline/watchdog/control"
)

// cycles feeds one transfer of a given age through cycles with the given limits.
func cycles(t *totals, age time.Duration, ls ...watchdog.Limit) {
	for _, l := range ls {
		age += 100 * ms
		t.add(&watchdog.Report{
			Took:     ms,
			Snapshot: watchdog.Snapshot{Transfers: []watchdog.Transfer{{ID: "t1", Direction: watchdog.Tx, Age: age}}},
			Outcome:  watchdog.Outcome{Limits: map[watchdog.TransferID]watchdog.Limit{"t1": l}},
		})
	}
}

// A delay that ends in a dry run ended by itself.
func TestDryRunProtectsNobody(t *testing.T) {
	x := newTotals(10*ms, true)
	for i, queue := range []time.Duration{20 * ms, 20 * ms, 0, 0, 0} {
		x.add(&watchdog.Report{
			Snapshot: watchdog.Snapshot{Mono: time.Duration(i) * time.Second},
			Decision: watchdog.Decision{Links: []watchdog.LinkState{{Transfers: 1, Delay: watchdog.LinkDelay{Known: true, Queue: queue}}}},
		})
	}
	if n, _ := summary(t, x.timeToProtect, watchdog.Rx); n != 0 {
		t.Errorf("%d delays came down by what was not done", n)
	}
}

func TestLimitsAreCountedOnce(t *testing.T) {
	x := newTotals(10*ms, false)
	x.add(&watchdog.Report{})
	paced, paused, free := watchdog.Limit{Pacing: 1e6}, watchdog.Limit{Pacing: 1e6, Pause: true}, watchdog.Limit{}
	cycles(x, 0, free, paced, paced, paused, paused, paced, paused, free, paced)
	for mech, want := range map[string]float64{mechPacing: 2, mechPause: 2, mechWindow: 0} {
		if got := testutil.ToFloat64(x.imposition(watchdog.Tx, slices.Index(mechanisms, mech))); got != want {
			t.Errorf("%s: %v times, want %v", mech, got, want)
		}
	}
	if all, sum := summary(t, x.timeToLimit, watchdog.Tx); all != 1 || math.Abs(sum-.201) > 1e-9 {
		t.Errorf("time to limit: %d, %v s; want one of 0.201 s", all, sum)
	}
	x.add(&watchdog.Report{})
	if len(x.held) > 0 {
		t.Errorf("a transfer that ended is remembered: %v", x.held)
	}
}

// What ran before the daemon tells nothing of how fast the daemon is.
func TestEarlierTransfersAreNotTimed(t *testing.T) {
	x := newTotals(10*ms, false)
	cycles(x, time.Hour, watchdog.Limit{}, watchdog.Limit{Pacing: 1e6})
	if all, _ := summary(t, x.timeToLimit, watchdog.Tx); all != 0 {
		t.Error("was timed")
	}
}

func TestTimeToProtect(t *testing.T) {
	const unknown, idle = -1, -2
	for name, c := range map[string]struct {
		delays []int // ms, one a cycle of 500 ms
		want   []float64
	}{
		"calm":                       {[]int{1, 9, 5}, nil},
		"one episode":                {[]int{1, 12, 150, 20, 9, 3, 3, 3}, []float64{1.5}},
		"falls and rises":            {[]int{10, 3, 3, 40, 3, 3, 3}, []float64{2}},
		"two episodes":               {[]int{20, 3, 3, 3, 20, 20, 3, 3, 3}, []float64{.5, 1}},
		"not over":                   {[]int{20, 20, 3, 3}, nil},
		"becomes unknown":            {[]int{20, 20, unknown, 3, 3, 3}, nil},
		"its transfers end":          {[]int{20, 20, idle, 3, 3, 3}, nil},
		"unknown, and a new episode": {[]int{20, unknown, 20, 3, 3, 3}, []float64{.5}},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTotals(10*ms, false)
			for i, d := range c.delays {
				l := watchdog.LinkState{Link: 2, Transfers: 1, Delay: control.Delay{Known: d != unknown, Queue: time.Duration(d) * ms}}
				if d == idle {
					l.Transfers = 0
				}
				x.add(&watchdog.Report{
					Snapshot: watchdog.Snapshot{Mono: time.Duration(i) * 500 * ms},
					Decision: watchdog.Decision{Links: []watchdog.LinkState{l}},
				})
			}
			var sum float64
			for _, w := range c.want {
				sum += w
			}
			all, total := summary(t, x.timeToProtect, watchdog.Rx)
			if int(all) != len(c.want) || math.Abs(total-sum) > 1e-9 {
				t.Errorf("%d episodes, %v s in all; want %v", all, total, c.want)
			}
		})
	}
}

// A bound belongs to its bucket.
func TestHistogram(t *testing.T) {
	h := unlabelled(probeRTT, []float64{1, 2})
	for _, v := range []float64{.5, 1, 1.5, 2, 99} {
		h.Observe(v)
	}
	var d dto.Metric
	if err := labelled(probeRTT, h, "eth0").Write(&d); err != nil {
		t.Fatal(err)
	}
	got := d.Histogram
	if got.GetSampleCount() != 5 || got.GetSampleSum() != 104 || len(got.Bucket) != 2 ||
		got.Bucket[0].GetCumulativeCount() != 2 || got.Bucket[1].GetCumulativeCount() != 4 || d.Label[0].GetValue() != "eth0" {
		t.Errorf("%+v", &d)
	}
}

// summary is the count and the sum of one direction's histogram.
func summary(t *testing.T, v *prometheus.HistogramVec, d watchdog.Direction) (count uint64, sum float64) {
	t.Helper()
	var m dto.Metric
	if err := v.WithLabelValues(d.String()).(prometheus.Metric).Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.Histogram.GetSampleCount(), m.Histogram.GetSampleSum()
}
