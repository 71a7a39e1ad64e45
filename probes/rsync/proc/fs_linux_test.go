package proc

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestHidden(t *testing.T) {
	root := t.TempDir()
	if err := (FS{Root: root}).Hidden(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without init: %v", err)
	}
	write(t, root, "1/stat", "1 (systemd) S 0 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 10 0 0\n")
	if err := (FS{Root: root}).Hidden(); err != nil {
		t.Errorf("with init: %v", err)
	}
}

func TestNewPIDs(t *testing.T) {
	root := t.TempDir()
	for pid, exe := range map[string]string{"20": "/usr/bin/rsync", "22": "/usr/bin/bash"} {
		write(t, root, pid+"/stat", "")
		if err := os.Symlink(exe, filepath.Join(root, pid, "exe")); err != nil {
			t.Fatal(err)
		}
	}
	write(t, root, "loadavg", "0.0 0.0 0.0 1/100 23\n")
	proc := FS{Root: root}
	last, err := proc.LastPID()
	if err != nil || last != 23 {
		t.Fatalf("last pid %d, %v", last, err)
	}
	if fresh, all := proc.NewPIDs(20, 23); all || len(fresh) != 1 || fresh[0] != 22 {
		t.Errorf("after 20: %v, all %v", fresh, all)
	}
	for name, c := range map[string][2]int{"the first time": {0, 23}, "after a wrap": {30000, 23}, "too many": {20, 21 + maxFresh}} {
		if _, all := proc.NewPIDs(c[0], c[1]); !all {
			t.Errorf("%s: not all", name)
		}
	}
}

func write(t *testing.T, root, name, text string) {
	t.Helper()
	path := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
