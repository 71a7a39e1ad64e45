package guard

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
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
	if err := g.Degraded(); err != nil {
		t.Errorf("without a guard: %v", err)
	}
	defer g.Close()
	renewed(t, g)
	roletest.Eventually(t, "it is told", func() bool { return errors.Is(g.Degraded(), place) })
	if err := g.Degraded(); !strings.Contains(err.Error(), "control group: no bus") || g.PID() == 0 {
		t.Errorf("guard %d, %v", g.PID(), err)
	}
}

// renewed renews the lease until a guard stands.
func renewed(t *testing.T, g *Supervisor) {
	t.Helper()
	roletest.Eventually(t, "a guard", func() bool {
		err := g.Renew()
		if err != nil && !errors.Is(err, remedy.ErrGuardStarting) {
			t.Fatal(err)
		}
		return err == nil
	})
}
