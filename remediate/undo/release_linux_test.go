package undo

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"lifeline/remediate/process"
	"lifeline/remediate/sockopt"
	"lifeline/remediate/trial"
	"lifeline/remediate/trial/trialtest"
	"lifeline/watchdog/ledger"
)

func TestLedgerInTheWayMeansNoAction(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, ledger.File), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Reconcile(context.Background(), dir, Undoer{}); err == nil || !strings.Contains(err.Error(), "FIFO") {
		t.Errorf("reconcile: %v", err)
	}
	if _, err := Release(context.Background(), dir, Undoer{}); err == nil || !strings.Contains(err.Error(), "FIFO") {
		t.Errorf("release: %v", err)
	}
}

// abandon writes a ledger of id that lists a clamp on each trial, and clamps it.
func abandon(t *testing.T, dir string, id ledger.Identity, trials ...*trial.Connection) {
	t.Helper()
	l, _, err := ledger.Open(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, tr := range trials {
		if err := l.Append(ledger.Entry{Kind: ledger.Window, Socket: tr.Socket}); err != nil {
			t.Fatal(err)
		}
		if err := tr.Visit(func(fd int) error { return sockopt.SetWindowClamp(fd, 4096) }); err != nil {
			t.Fatal(err)
		}
	}
}

func TestReleaseUndoesTheRestOfADamagedLedger(t *testing.T) {
	trials := []*trial.Connection{trialtest.New(t), trialtest.New(t), trialtest.New(t)}
	dir := t.TempDir()
	id, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	abandon(t, dir, id, trials...)
	path := filepath.Join(dir, ledger.File)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(b), "\n")
	lines[2] = "00000000" + lines[2][8:]
	if err := os.WriteFile(path, []byte(strings.Join(lines, "")+"1234 torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Release(context.Background(), dir, Undoer{})
	if err != nil || len(r.Results) != 2 || len(r.Damage) != 1 || r.Killed.PID != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	for i, tr := range trials {
		c, err := tr.Inspect()
		if err != nil || (c.WindowClamp == sockopt.NoWindowClamp) != (i != 1) {
			t.Errorf("transfer %d: window %d, %v", i, c.WindowClamp, err)
		}
	}
}

// The pid of another boot's daemon means nothing, whoever has it now.
func TestReleaseAfterAReboot(t *testing.T) {
	tr := trialtest.New(t)
	dir := t.TempDir()
	abandon(t, dir, ledger.Identity{Boot: "another boot", Daemon: tr.Proc}, tr)
	r, err := Release(context.Background(), dir, Undoer{})
	if err != nil || r.Killed.PID != 0 || len(r.Results) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := process.StatOf(tr.Proc); err != nil {
		t.Errorf("the process was ended: %v", err)
	}
}

func TestReleaseFromAnotherNetworkNamespaceSaysSo(t *testing.T) {
	dir := t.TempDir()
	id, err := process.Self()
	if err != nil {
		t.Fatal(err)
	}
	id.Netns++
	l, _, err := ledger.Open(dir, id)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Append(ledger.Entry{Kind: ledger.Qdisc, TC: ledger.TC{Link: 99, Name: "x", Kind: "htb"}}); err != nil {
		t.Fatal(err)
	}
	_, err = Release(context.Background(), dir, Undoer{})
	if err == nil || !strings.Contains(err.Error(), "run it there") {
		t.Errorf("%v", err)
	}
}
