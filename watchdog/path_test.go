package watchdog

import (
	"math"
	"net/netip"
	"testing"
)

func TestPathJSON(t *testing.T) {
	for _, p := range []Path{{Target: netip.MustParseAddr("192.0.2.1"), Loss: math.NaN()}, {Target: netip.MustParseAddr("::1"), Loss: 0.25}} {
		b, err := p.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var got Path
		if err := got.UnmarshalJSON(b); err != nil || got.Target != p.Target || !(got.Loss == p.Loss || math.IsNaN(got.Loss) && math.IsNaN(p.Loss)) {
			t.Errorf("%s: %+v, %v", b, got, err)
		}
	}
}
