package remediate

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"lifeline/watchdog"
)

func TestDryRunSaysAndDoesNothing(t *testing.T) {
	var log bytes.Buffer
	d := &DryRun{Log: slog.New(slog.NewTextHandler(&log, nil))}
	ts := []watchdog.Transfer{
		{ID: "t1", Control: watchdog.ControlFull, Socket: watchdog.Socket{Inode: 1}},
		{ID: "t2", Control: watchdog.ControlLimitOnly, Socket: watchdog.Socket{Inode: 2}},
	}
	want := watchdog.Desired{
		Limits:      map[watchdog.TransferID]watchdog.Limit{"t1": {Window: 5000}, "t2": {Pacing: 5, Pause: true}},
		Shapers:     map[watchdog.ShaperKey]float64{{Link: 2, Direction: watchdog.Tx}: 1e6},
		SmallBursts: true,
	}
	for i := range 3 {
		want.Limits["t1"] = watchdog.Limit{Window: int64(5000 + i)}
		o := d.Apply(context.Background(), want, ts)
		if len(o.Limits)+len(o.Stopped)+len(o.Shapers)+len(o.Failed) > 0 {
			t.Errorf("something is in force: %+v", o)
		}
	}
	if n := strings.Count(log.String(), "would limit"); n != 4 || d.Limits != 2 || d.Pauses != 0 || d.Shapers != 1 {
		t.Errorf("%d lines, %+v\n%s", n, d, log.String())
	}
	want.Limits["t1"] = watchdog.Limit{Window: 1, Pause: true}
	d.Apply(context.Background(), want, ts)
	d.Apply(context.Background(), watchdog.Desired{}, ts)
	if n := strings.Count(log.String(), "would free"); n != 4 || d.Pauses != 1 {
		t.Errorf("%d freed, %d pauses\n%s", n, d.Pauses, log.String())
	}
}
