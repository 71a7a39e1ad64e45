package files

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestReadTakesFilesAlone(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for name, make := range map[string]func(string) error{
		"good":  func(p string) error { return os.WriteFile(p, []byte("text"), 0o600) },
		"large": func(p string) error { return os.WriteFile(p, []byte("too long"), 0o600) },
		"link":  func(p string) error { return os.Symlink(path("good"), p) },
		"fifo":  func(p string) error { return syscall.Mkfifo(p, 0o600) },
		"dir":   func(p string) error { return os.Mkdir(p, 0o700) },
	} {
		if err := make(path(name)); err != nil {
			t.Fatal(err)
		}
	}
	r := NewReader()
	for _, p := range []string{path("good"), path("link")} {
		if b, err := r.Read(t.Context(), p, 4); err != nil || string(b) != "text" {
			t.Errorf("%s: %q, %v", p, b, err)
		}
	}
	for p, want := range map[string]error{
		path("large"): ErrTooLarge, path("fifo"): ErrNotRegular, path("dir"): ErrNotRegular,
		"/dev/zero": ErrNotRegular, path("none"): fs.ErrNotExist,
	} {
		if _, err := r.Read(t.Context(), p, 4); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", p, err, want)
		}
	}
}

// deadMount is a file system whose server is gone, until it is back.
type deadMount struct {
	back  chan struct{}
	opens chan string
}

func (d deadMount) open(path string) (io.ReadCloser, error) {
	d.opens <- path
	<-d.back
	return io.NopCloser(strings.NewReader("at last")), nil
}

// A file that does not answer is given up, keeps one thread however often it is
// asked for, and is read once it answers.
func TestDeadMount(t *testing.T) {
	d := deadMount{make(chan struct{}), make(chan string, 10)}
	r := &Reader{Source: d.open, Patience: 20 * time.Millisecond}
	for range 3 {
		if _, err := r.Read(t.Context(), "/mnt/secret", 100); !errors.Is(err, ErrNoAnswer) {
			t.Fatal(err)
		}
	}
	if len(d.opens) != 1 {
		t.Errorf("opened %d times", len(d.opens))
	}
	close(d.back)
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
		b, err := r.Read(t.Context(), "/mnt/secret", 100)
		if err == nil && string(b) == "at last" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never read: %q, %v", b, err)
		}
	}
}

// The end of its caller ends the waiting.
func TestReadEndsWithItsCaller(t *testing.T) {
	d := deadMount{make(chan struct{}), make(chan string, 1)}
	defer close(d.back)
	r := &Reader{Source: d.open, Patience: time.Hour}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-d.opens; cancel() }()
	if _, err := r.Read(ctx, "/mnt/secret", 100); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestWithin(t *testing.T) {
	if v, err := Within(time.Minute, func() (int, error) { return 7, nil }); v != 7 || err != nil {
		t.Errorf("%d, %v", v, err)
	}
	hang := make(chan struct{})
	defer close(hang)
	if _, err := Within(time.Millisecond, func() (int, error) { <-hang; return 0, nil }); !errors.Is(err, ErrNoAnswer) {
		t.Error(err)
	}
}

// What another user could have put somewhere is not believed.
func TestTrust(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: gives directories to another user")
	}
	for what, c := range map[string]struct {
		mode uint32
		uid  int
		want string
	}{
		"ours":            {0o755, 0, ""},
		"another's":       {0o755, 65534, "belongs to another user (65534)"},
		"for all":         {0o777, 0, "chmod go-w"},
		"for a group":     {0o775, 0, "chmod go-w"},
		"as /tmp is":      {0o1777, 0, ""},
		"another's, /tmp": {0o1777, 65534, ""},
	} {
		dir := t.TempDir()
		if err := errors.Join(unix.Chmod(dir, c.mode), os.Chown(dir, c.uid, -1)); err != nil {
			t.Fatal(err)
		}
		err := TrustDir(dir)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
