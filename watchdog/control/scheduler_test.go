package control

import (
	"fmt"
	"testing"
	"time"
)

// TestSchedule: the newest are paused first, and the one that has waited longest runs
// first.
func TestSchedule(t *testing.T) {
	table := flowTable{records: map[string]*flowRecord{}}
	var s scheduler
	in := Input{}
	for i := range 4 {
		in.Flows = append(in.Flows, Flow{ID: fmt.Sprint(i), Pausable: true, Age: time.Duration(10-i) * time.Second})
		table.update(&in, float64(2*i), false) // each begins 2 s after the one before
	}
	running := func() (ids string) {
		for i := range table.entries {
			if table.entries[i].runs() {
				ids += table.entries[i].flow.ID
			}
		}
		return ids
	}
	for _, step := range []struct {
		now   float64
		limit int
		want  string
	}{
		{10, 3, "012"}, {11, 1, "0"}, {12, 2, "03"}, {12.1, 4, "03"}, {13, 4, "013"}, {14, 4, "0123"},
		{100, 3, "013"}, {104, 3, "013"}, {110, 3, "123"},
	} {
		table.update(&in, step.now, false)
		if s.schedule(&table, cruising, step.now, step.limit, false); running() != step.want {
			t.Fatalf("at %g s with %d: %s run, want %s", step.now, step.limit, running(), step.want)
		}
	}
}
