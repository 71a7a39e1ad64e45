package remediate

import (
	"context"
	"testing"

	"lifeline/remediate/roletest"
	"lifeline/remediate/trial"
	"lifeline/remediate/trial/trialtest"
	"lifeline/watchdog"
)

// BenchmarkApply is one turn for 16 clamped transfers on the running kernel;
// ten a second are to cost a small part of one per cent of a core.
func BenchmarkApply(b *testing.B) {
	ctx := context.Background()
	want := watchdog.Desired{Limits: map[watchdog.TransferID]watchdog.Limit{}}
	var transfers []watchdog.Transfer
	for range 16 {
		tr, err := trial.Start(ctx, roletest.Play("trial"))
		if err != nil {
			b.Fatal(err)
		}
		defer tr.Close()
		transfers = append(transfers, trialtest.TransferOf(tr))
		want.Limits[trialtest.TransferOf(tr).ID] = watchdog.Limit{Window: 16384}
	}
	e := New(trialtest.OpenLedger(b, b.TempDir()), &fakeLease{}, nil, Settings{})
	if o := e.Apply(ctx, want, transfers); len(o.Failed) > 0 {
		b.Skip(o.Failed)
	}
	b.ReportAllocs()
	for b.Loop() {
		e.Apply(ctx, want, transfers)
	}
}
