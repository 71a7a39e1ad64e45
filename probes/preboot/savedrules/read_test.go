package savedrules

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	pipe, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "link")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.Symlink("/dev/zero", link)); err != nil {
		t.Fatal(err)
	}
	huge := filepath.Join(dir, "huge")
	if err := errors.Join(os.WriteFile(huge, nil, 0o600), os.Truncate(huge, maxFileBytes+1)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:                        "is a directory",
		"/dev/zero":                "is neither a file nor a pipe",
		link:                       "is neither a file nor a pipe",
		pipe:                       "is a pipe that nobody writes to", // and it does not wait for somebody
		huge:                       "larger than 64 MB",
		filepath.Join(dir, "none"): "no such file",
	} {
		if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
		if _, err := Read(RoleRules4, path, "/"); err == nil || !strings.Contains(err.Error(), "rules4 file: ") || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v does not name it", path, err)
		}
	}
}

// TestReadPipe: what a shell's <(command) gives is as good as a file.
func TestReadPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := openFile(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, werr := w.WriteString("*filter\nCOMMIT\n")
	if err := errors.Join(werr, w.Close()); err != nil {
		t.Fatal(err)
	}
	if text, err := readBounded(f); err != nil || string(text) != "*filter\nCOMMIT\n" {
		t.Errorf("%q, %v", text, err)
	}
}
