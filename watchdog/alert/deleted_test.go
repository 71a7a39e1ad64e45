package alert

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
)

// A spool that is deleted, or replaced, under the running daemon is there again,
// with all that waits; every alert arrives once, and status tells.
func TestSpoolDeletedWhileRunning(t *testing.T) {
	for how, spoil := range map[string]func(path string) error{
		"deleted":             os.Remove,
		"with its directory":  func(path string) error { return os.RemoveAll(filepath.Dir(path)) },
		"replaced by nothing": func(path string) error { return errors.Join(os.Remove(path), os.WriteFile(path, nil, 0o600)) },
		"replaced by noise": func(path string) error {
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte(strings.Repeat("noise ", 5000)), 0o600))
		},
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(t.TempDir(), "state")
			b := alerttest.NewInbox(t)
			b.Set(alerttest.Always(503))
			a := start(t, dir, quick("r", notify.TypeJSON, b.URL))
			a.raise(alerttest.Saturated)
			alerttest.Eventually(t, "spooled", func() bool { s := a.Status().Spool; return s.Unwrit == 0 && a.receiver("r").Pending == 1 })
			if err := spoil(filepath.Join(dir, spool.File)); err != nil {
				t.Fatal(err)
			}
			alerttest.Eventually(t, "it is there again", func() bool { return !a.Status().Spool.Restored.IsZero() })
			a.pair(alerttest.Condition(watchdog.LinkDown, "eth7", watchdog.Critical))
			a.clear(alerttest.Saturated)
			alerttest.Eventually(t, "what is new is in it too", func() bool {
				s := a.Status().Spool
				return s.Unwrit == 0 && s.Err == "" && a.receiver("r").Pending == 4
			})
			a.stop()
			b.Set(nil)
			again := start(t, dir, quick("r", notify.TypeJSON, b.URL))
			alerttest.Eventually(t, "all arrive", func() bool { return again.receiver("r").Pending == 0 && len(b.Got()) >= 4 })
			if got := inOrder(t, b.Got()); len(got) != 2 || len(b.Got()) != 4 {
				t.Errorf("%d events of %d incidents, want 4 of 2", len(b.Got()), len(got))
			}
		})
	}
}
