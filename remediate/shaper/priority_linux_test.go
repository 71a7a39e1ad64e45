package shaper

import (
	"fmt"
	"testing"
	"time"

	"lifeline/remediate/roletest"
	"lifeline/remediate/sockopt"
	"lifeline/remediate/trial/trialtest"
	"lifeline/watchdog"
)

// And for the priority that chooses the shaper's class.
func TestPriorityIsGivenBackThroughWhoeverHoldsTheSocket(t *testing.T) {
	tr := trialtest.New(t)
	l := trialtest.OpenLedger(t, t.TempDir())
	p := &priorities{ledger: l, members: map[watchdog.TransferID]watchdog.Socket{}}
	x := trialtest.TransferOf(tr)
	var of socketPriority
	if err := p.set(&x, &of, time.Now()); err != nil {
		t.Fatal(err)
	}
	trialtest.HandOver(t, tr)
	roletest.Eventually(t, "the ledger is empty", func() bool {
		_ = p.restore(of.entry) // an error is one that is tried again
		return l.Empty()
	})
	if err := tr.Visit(func(fd int) error {
		if v, err := sockopt.Priority(fd); err != nil || v == classRsync {
			return fmt.Errorf("priority %#x, %w", v, err)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
