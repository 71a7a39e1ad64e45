package control

import (
	"fmt"
	"math"
	"testing"
)

// shared divides a rate in bytes/s among transfers with these demands (0: all that
// there is), and returns the shares.
func shared(t *testing.T, rate float64, share Share, demands []float64, remaining []int64) []float64 {
	t.Helper()
	m := &model{params: newParams(Settings{Direction: Tx, Share: share}), flows: flowTable{records: map[string]*flowRecord{}}}
	in := Input{}
	for i := range demands {
		in.Flows = append(in.Flows, Flow{ID: fmt.Sprint(i), Remaining: -1, Limitable: true, Floor: 2896})
		if remaining != nil {
			in.Flows[i].Remaining = remaining[i]
		}
	}
	m.flows.update(&in, 0, false)
	for i, d := range demands {
		r := m.flows.entries[i].rec
		r.demand, r.share, r.raised = d, d, -10
		in.Flows[i].Rate = 0.8 * d / wire // neither modest nor greedy: the demand stays
	}
	m.share(&law{mode: cruising, budget: budget{rate: rate}}, 0, 0.1)
	var shares []float64
	for i := range m.flows.entries {
		shares = append(shares, m.flows.entries[i].share)
	}
	return shares
}

// TestShares: max-min fairness, floors, and what the modest leave.
func TestShares(t *testing.T) {
	for name, c := range map[string]struct {
		share     Share
		budget    float64
		demands   []float64
		remaining []int64
		want      []float64
	}{
		"equal":               {ShareEqual, 4e6, []float64{0, 0, 0, 0}, nil, []float64{1e6, 1e6, 1e6, 1e6}},
		"one wants less":      {ShareEqual, 4e6, []float64{4e5, 0, 0, 0}, nil, []float64{4e5, 1.2e6, 1.2e6, 1.2e6}},
		"two rounds":          {ShareEqual, 4e6, []float64{4e5, 1.1e6, 0, 0}, nil, []float64{4e5, 1.1e6, 1.25e6, 1.25e6}},
		"nobody wants it all": {ShareEqual, 4e6, []float64{5e5, 1.5e6}, nil, []float64{1.5e6, 2.5e6}},
		"small first":         {ShareSmallFirst, 3e6, []float64{0, 0, 0}, []int64{1 << 20, 4 << 20, 16 << 20}, []float64{2e6 * 6. / 7, 1e6 * 6. / 7, 5e5 * 6. / 7}},
	} {
		got := shared(t, c.budget, c.share, c.demands, c.remaining)
		for i := range got {
			if math.Abs(got[i]-c.want[i]) > 1 {
				t.Errorf("%s: %.0f, want %.0f", name, got, c.want)
				break
			}
		}
	}
}
