package alert

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

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
	b := newInbox(t)
	r := quick("r", TypeJSON, b.URL)
	r.BearerFile = path
	cfg := DefaultConfig()
	cfg.Receivers = []Receiver{r, quick("other", TypeJSON, newInbox(t).URL)}
	a, err := Open(t.TempDir(), cfg, silent())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range a.workers {
		w.sender.(*poster).client.vault.reader = dead
	}
	running := run(t, a)
	running.raise(saturated)
	eventually(t, "the other one is told, and status says why this one waits", func() bool {
		return running.receiver("other").Sent > 0 && running.receiver("r").Failed > 0
	})
	close(back)
	eventually(t, "it is told", func() bool { return len(b.got()) == 1 })
}

// Nothing but a file is opened in place of a secret or a template.
func TestFIFOForASecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (vault{}).word(path); err == nil || errors.Is(err, files.ErrNoAnswer) {
		t.Errorf("secret: %v", err)
	}
	if _, err := templateFormat(Receiver{Name: "t", TemplateFile: path}, vault{}); err == nil || errors.Is(err, files.ErrNoAnswer) {
		t.Errorf("template: %v", err)
	}
}
