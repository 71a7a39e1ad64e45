package notify

import (
	"strings"
	"testing"
	"time"
)

// Only the answers to the last test alerts are remembered.
func TestAnswersAreBounded(t *testing.T) {
	var ts TestAlerts
	for n := range 3 * maxTestAlerts {
		ts.Add(strings.Repeat("x", n+1), time.Now(), nil)
	}
	if _, ok := ts.Answers("x"); ok || len(ts.sent) != maxTestAlerts {
		t.Errorf("%d are remembered", len(ts.sent))
	}
}
