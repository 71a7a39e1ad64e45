package scenario

import (
	"slices"
	"testing"
	"time"

	"lifeline/watchdog/lab"
)

// arrivals are looks a second apart, with what came in each second, bits.
func arrivals(bits ...float64) []arrival {
	at := time.Unix(0, 0)
	all := []arrival{{at, 1e6}} // what came before does not matter
	for _, b := range bits {
		at = at.Add(time.Second)
		all = append(all, arrival{at, all[len(all)-1].bytes + b/8})
	}
	return all
}

func TestLowest(t *testing.T) {
	for _, c := range []struct {
		name string
		a    []arrival
		want float64
	}{
		{"even", arrivals(8, 8, 8), 8},
		{"a stop in the middle", arrivals(8, 8, 0, 0, 8, 8), 0},
		{"one second of two", arrivals(8, 8, 0, 8, 8), 4},
		{"at the end", arrivals(8, 8, 8, 2, 2), 2},
		{"at the begin", arrivals(2, 2, 8, 8), 2},
		{"too short", arrivals(8), 0},
		{"nothing", nil, 0},
	} {
		if got := lowest(c.a, 2*time.Second); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	// A look that was late makes a span longer and not its rate higher.
	late := slices.Delete(arrivals(8, 8, 8, 8, 8), 2, 3)
	if got := lowest(late, 2*time.Second); got != 8 {
		t.Errorf("a look is missing: %v, want 8", got)
	}
}

func TestMean(t *testing.T) {
	if got := mean(arrivals(8, 0, 4)); got != 4 {
		t.Errorf("mean = %v, want 4", got)
	}
	if got := mean(arrivals()); got != 0 {
		t.Errorf("mean of one look = %v", got)
	}
}

func TestForGood(t *testing.T) {
	const ms = time.Millisecond
	s := lab.Series{
		{At: 0, RTT: ms}, {At: 200 * ms, RTT: 90 * ms}, {At: 400 * ms, Lost: true}, {At: 600 * ms, RTT: ms},
		{At: 1000 * ms, RTT: 20 * ms}, {At: 2000 * ms, RTT: ms}, {At: 3000 * ms, Lost: true}, {At: 3020 * ms, RTT: ms},
	}
	want := ForGood{After: 3020 * ms, Reached: true, Relapses: 2, Last: 3000 * ms, Lost: 2}
	if got := forGood(s); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	want = ForGood{After: 600 * ms, Reached: true, Last: 400 * ms, Lost: 1}
	if got := forGood(s[:4]); got != want {
		t.Errorf("calm within the grace: got %+v, want %+v", got, want)
	}
	if got := forGood(nil); got != (ForGood{}) {
		t.Errorf("of nothing: %+v", got)
	}
}
