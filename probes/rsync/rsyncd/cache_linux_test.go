package rsyncd

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/proctest"
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
func treeAt(t *testing.T, root string, who credentials) userTree {
	t.Helper()
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return userTree{root: fd, credentials: who}
}

// Only what is new is told: each telling costs a pass.
func TestConfigToldOnce(t *testing.T) {
	h := proctest.NewHost(t, proctest.Process{PID: 20, PPID: 1, Exe: "rsync", Argv: "rsync --daemon"})
	h.Link("20/root", h.Root)
	h.Write("etc/rsyncd.conf", "[a]\npath = /a\n")
	c := NewCache(proc.FS{Root: h.Root}, slog.New(slog.DiscardHandler))
	daemon, err := c.proc.Process(20)
	if err != nil {
		t.Fatal(err)
	}
	by, err := c.readerOf(daemon, nil)
	if err != nil {
		t.Fatal(err)
	}
	key := configKey{name: "/etc/rsyncd.conf"}
	l := c.queue(by)
	l.configs[key] = &readConfig{}
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan bool, 3)
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx, func() { told <- true }) }()
	defer func() {
		cancel()
		<-done
	}()
	for range cap(told) {
		l.mu.Lock()
		l.configs[key].checked = time.Time{}
		l.mu.Unlock()
		l.requests <- configRequest{key: key, by: by}
		await(t, "a look at the file", func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			return !l.configs[key].checked.IsZero()
		})
	}
	cancel()
	done <- <-done // all tellings are done
	if len(told) != 1 {
		t.Errorf("told %d times of one file", len(told))
	}
}

// await polls until a condition holds.
func await(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !met(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
