package guard

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"lifeline/remediate/process"
	"lifeline/remediate/roletest"
	"lifeline/watchdog/ledger"
)

// A guard that could not be moved stands all the same, and it is told.
func TestGuardThatCannotBePlaced(t *testing.T) {
	dir := t.TempDir()
	id, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := ledger.Open(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	place := errors.New("no bus")
	g := &Supervisor{Argv: roletest.Play("guard", dir), Ledger: l, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Place: func(int) error { return place }}
	if g.Degraded() != "" {
		t.Errorf("without a guard: %q", g.Degraded())
	}
	if err := g.Renew(); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if !strings.Contains(g.Degraded(), "control group: no bus") || g.PID() == 0 {
		t.Errorf("guard %d, %q", g.PID(), g.Degraded())
	}
}
