package rsync

import (
	"errors"
	"io/fs"
	"path/filepath"
	"testing"

	"lifeline/probes/rsync/proctest"
)

func TestProcOfAnotherNamespace(t *testing.T) {
	h := proctest.NewHost(t)
	h.Link("self", "1")
	if _, err := New(Options{Proc: h.Root}); !errors.Is(err, errOtherPIDs) {
		t.Errorf("got %v", err)
	}
	if _, err := New(Options{Proc: filepath.Join(h.Root, "nowhere")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no procfs: %v", err)
	}
}
