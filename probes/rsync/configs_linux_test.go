package rsync

import (
	"context"
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
	var r readConfig
	first := r.renew(root, "/etc/rsyncd.conf")
	if len(first.config.Modules) != 2 || len(first.files) != 2 {
		t.Fatalf("got %+v", first)
	}
	same := first.renew(root, "/etc/rsyncd.conf")
	if &same.config.Modules[0] != &first.config.Modules[0] {
		t.Error("was parsed again without a change")
	}
	write("etc/more", "[c]\npath = /c\n[d]\npath = /d\n")
	if err := os.Chtimes(filepath.Join(root, "etc/more"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if changed := same.renew(root, "/etc/rsyncd.conf"); len(changed.config.Modules) != 3 {
		t.Errorf("after a change of an included file: %+v", changed)
	}
	// A pipe that nobody writes to would hang whoever opens it.
	if err := os.Remove(filepath.Join(root, "etc/more")); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(filepath.Join(root, "etc/more"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := new(readConfig).renew(root, "/etc/rsyncd.conf"); got.files != nil {
		t.Errorf("a pipe: %+v", got)
	}
}

// Only what is new is told: each telling costs a pass.
func TestConfigToldOnce(t *testing.T) {
	h := newHost(t)
	h.link("20/root", h.root)
	h.write("etc/rsyncd.conf", "[a]\npath = /a\n")
	c := newConfigs(procFS{root: h.root})
	key := configKey{name: "/etc/rsyncd.conf"}
	c.known[key] = &readConfig{}
	ctx, cancel := context.WithCancel(context.Background())
	told := make(chan bool, 3)
	done := make(chan error, 1)
	go func() { done <- c.run(ctx, func() { told <- true }) }()
	defer func() {
		cancel()
		<-done
	}()
	for range cap(told) {
		c.mu.Lock()
		c.known[key].checked = time.Time{}
		c.mu.Unlock()
		c.ask <- configRequest{key: key, pid: 20}
		await(t, "a look at the file", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return !c.known[key].checked.IsZero()
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
