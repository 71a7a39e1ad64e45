package alert

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/files"
)

// A receiver whose secret does not answer makes its own alerts wait, is told with
// its reason, and gets them once the secret is there.
func TestSecretThatDoesNotAnswer(t *testing.T) {
	back := make(chan struct{})
	dead := &files.Reader{Patience: 20 * time.Millisecond, Source: func(path string) (io.ReadCloser, error) {
		<-back
		return os.Open(path)
	}}
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("token\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b := alerttest.NewInbox(t)
	r := quick("r", notify.TypeJSON, b.URL)
	r.BearerFile = path
	cfg := DefaultConfig()
	cfg.Receivers = []notify.Receiver{r, quick("other", notify.TypeJSON, alerttest.NewInbox(t).URL)}
	a, err := open(t.TempDir(), cfg, alerttest.Silent(), system{openStore: unsyncedDisk.openStore, files: dead})
	if err != nil {
		t.Fatal(err)
	}
	running := run(t, a)
	running.raise(alerttest.Saturated)
	alerttest.Eventually(t, "the other one is told, and status says why this one waits", func() bool {
		return running.receiver("other").Sent > 0 && running.receiver("r").Failed > 0
	})
	close(back)
	alerttest.Eventually(t, "it is told", func() bool { return len(b.Got()) == 1 })
}
