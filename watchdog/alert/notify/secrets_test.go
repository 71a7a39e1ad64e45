package notify

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"lifeline/watchdog/files"
)

// Nothing but a file is opened in place of a secret or a template.
func TestFIFOForASecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := (secretStore{}).word(path); err == nil || errors.Is(err, files.ErrNoAnswer) {
		t.Errorf("secret: %v", err)
	}
	if _, err := templateEncoder(Receiver{Name: "t", TemplateFile: path}, secretStore{}); err == nil || errors.Is(err, files.ErrNoAnswer) {
		t.Errorf("template: %v", err)
	}
}
