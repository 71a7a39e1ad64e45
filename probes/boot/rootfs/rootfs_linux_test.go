package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// tree is a root with links of every kind, and a file outside of it.
func tree(t *testing.T) *Tree {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{"root/usr/lib/systemd", "root/etc", "root/dev"} {
		must(t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("outside"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "root/usr/lib/systemd/unit"), []byte("inside"), 0o644))
	for link, target := range map[string]string{
		"root/lib":          "usr/lib",
		"root/etc/absolute": "/lib/systemd/unit",
		"root/etc/climbing": "../../../secret",
		"root/etc/host":     filepath.Join(dir, "secret"),
		"root/etc/dangling": "/srv/missing/file",
		"root/etc/loop":     "loop",
	} {
		must(t, os.Symlink(target, filepath.Join(dir, link)))
	}
	must(t, unix.Mkfifo(filepath.Join(dir, "root/etc/fifo"), 0o600))
	r, err := Open(filepath.Join(dir, "root"))
	must(t, err)
	t.Cleanup(func() { r.Close() })
	return r
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestLinksStayBelowTheRoot(t *testing.T) {
	r := tree(t)
	text, err := r.ReadFile("/etc/absolute")
	if string(text) != "inside" || err != nil {
		t.Errorf("absolute link: %q, %v", text, err)
	}
	for _, name := range []string{"/etc/climbing", "/etc/host", "/../secret", "/etc/dangling", "/etc/absolute/x"} {
		if text, err := r.ReadFile(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %q, %v; want that it does not exist", name, text, err)
		}
	}
	if _, err := r.ReadFile("/etc/loop"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("loop: %v", err)
	}
}

func TestResolve(t *testing.T) {
	r := tree(t)
	for name, want := range map[string]string{
		"/etc/absolute": "/usr/lib/systemd/unit",
		"/etc/dangling": "/srv/missing/file",
		"/etc/climbing": "/secret",
		"/lib/nothing":  "/usr/lib/nothing",
		"/":             "/",
	} {
		if got, err := r.Resolve(name); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	if got, err := r.Resolve("/etc/loop"); err == nil {
		t.Errorf("a loop leads to %q", got)
	}
}

func TestOnlyRegularFilesAreOpened(t *testing.T) {
	r := tree(t)
	if _, err := r.ReadFile("/etc/fifo"); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("fifo: %v", err)
	}
	st, err := r.Lstat("/etc/absolute")
	if err != nil || st.Mode&fs.ModeSymlink == 0 {
		t.Errorf("lstat of a link: %v, %v", st, err)
	}
	names, err := r.ReadDir("/usr")
	if err != nil || !slices.Equal(names, []string{"lib"}) {
		t.Errorf("names: %q, %v", names, err)
	}
	must(t, os.Truncate(filepath.Join(r.dir.Name(), "usr/lib/systemd/unit"), MaxFile+1))
	if _, err := r.ReadFile("/lib/systemd/unit"); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a file that is too large: %v", err)
	}
}
