package rsync

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestConfigBelowAnotherRoot(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"etc", "srv"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("srv/real.conf", "[a]\npath = /a\n&include /etc/more\n")
	write("etc/more", "[b]\npath = /b\n")
	// Absolute, and above the root: neither leads out of it.
	if err := os.Symlink("/../../srv/real.conf", filepath.Join(root, "etc/rsyncd.conf")); err != nil {
		t.Fatal(err)
	}
	below := treeAt(t, root, credentials{})
	var r readConfig
	first := r.renew(below, "/etc/rsyncd.conf")
	if len(first.config.Modules) != 2 || len(first.files) != 2 {
		t.Fatalf("got %+v", first)
	}
	same := first.renew(below, "/etc/rsyncd.conf")
	if &same.config.Modules[0] != &first.config.Modules[0] {
		t.Error("was parsed again without a change")
	}
	write("etc/more", "[c]\npath = /c\n[d]\npath = /d\n")
	if err := os.Chtimes(filepath.Join(root, "etc/more"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if changed := same.renew(below, "/etc/rsyncd.conf"); len(changed.config.Modules) != 3 {
		t.Errorf("after a change of an included file: %+v", changed)
	}
	// A pipe that nobody writes to would hang whoever opens it.
	if err := os.Remove(filepath.Join(root, "etc/more")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(root, "etc/more"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := new(readConfig).renew(below, "/etc/rsyncd.conf"); !errors.Is(got.err, errNotRegular) || len(got.config.Modules) > 0 {
		t.Errorf("a pipe: %+v", got)
	}
}

// treeAt is what a process with a root directory sees.
func treeAt(t *testing.T, root string, who credentials) tree {
	t.Helper()
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return tree{root: fd, who: who}
}

// Only what is new is told: each telling costs a pass.
func TestConfigToldOnce(t *testing.T) {
	h := newHost(t, fake{pid: 20, ppid: 1, exe: "rsync", argv: "rsync --daemon"})
	h.link("20/root", h.root)
	h.write("etc/rsyncd.conf", "[a]\npath = /a\n")
	c := newConfigs(procFS{root: h.root}, slog.New(slog.DiscardHandler))
	daemon, err := c.proc.process(20)
	if err != nil {
		t.Fatal(err)
	}
	by, err := c.proc.readerOf(daemon, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := configKey{name: "/etc/rsyncd.conf"}
	l := c.lane(by)
	l.known[key] = &readConfig{}
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan bool, 3)
	done := make(chan error, 1)
	go func() { done <- c.run(ctx, func() { told <- true }) }()
	defer func() {
		cancel()
		<-done
	}()
	for range cap(told) {
		l.mu.Lock()
		l.known[key].checked = time.Time{}
		l.mu.Unlock()
		l.ask <- configRequest{key: key, by: by}
		await(t, "a look at the file", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return !l.known[key].checked.IsZero()
		})
	}
	cancel()
	done <- <-done // all tellings are done
	if len(told) != 1 {
		t.Errorf("told %d times of one file", len(told))
	}
}

func TestPatiently(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	if got, ok := patiently(ctx, func() int { return 7 }); got != 7 || !ok {
		t.Errorf("got %d, %v", got, ok)
	}
	hang := make(chan int)
	defer close(hang)
	cancel()
	if _, ok := patiently(ctx, func() int { return <-hang }); ok {
		t.Error("waited for what hangs")
	}
}
