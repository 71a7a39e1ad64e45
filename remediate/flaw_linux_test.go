package remediate

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"lifeline/watchdog/ledger"
)

// A guard that could not be moved stands all the same, and it is told.
func TestGuardThatCannotBePlaced(t *testing.T) {
	dir := t.TempDir()
	id, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := ledger.Open(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	place := errors.New("no bus")
	g := &Guardian{Argv: play("guard", dir), Ledger: l, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Place: func(int) error { return place }}
	if g.Flaw() != "" {
		t.Errorf("without a guard: %q", g.Flaw())
	}
	if err := g.Renew(); err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	if !strings.Contains(g.Flaw(), "control group: no bus") || g.PID() == 0 {
		t.Errorf("guard %d, %q", g.PID(), g.Flaw())
	}
}
