package rsync

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// configs keeps the configurations of the daemons that were met. They are
// read apart from discovery: a file below a container's root may hang.
type configs struct {
	proc procFS
	ask  chan configRequest

	mu    sync.Mutex
	known map[configKey]*readConfig
}

// configKey names a configuration file as a process sees it.
type configKey struct {
	mount string // mount namespace
	root  string // root directory
	name  string
}

// configRequest is a configuration to be read, through a process that sees it.
type configRequest struct {
	key configKey
	pid int
}

// readConfig is a configuration with the files that it came from.
type readConfig struct {
	config  daemonConfig
	files   map[string]time.Time // by name: modification time
	checked time.Time
	asked   bool
}

const (
	recheckConfig = time.Second // a daemon reads its files anew for every connection
	maxConfig     = 4 << 20     // bytes read of one file
	maxConfigs    = 256         // configurations kept
)

func newConfigs(proc procFS) *configs {
	return &configs{proc: proc, ask: make(chan configRequest, 64), known: map[configKey]*readConfig{}}
}

// of gives the configuration of a daemon's child, if it has been read. If not,
// or not lately, it is asked for.
func (c *configs) of(p *process) (daemonConfig, bool) {
	name := p.Cmd.Config
	if name == "" {
		name = "/etc/rsyncd.conf"
	}
	// The parent is not in the module's chroot, but it is in the same
	// container. What it sees as / is not always what we do.
	root, err := os.Readlink(c.proc.path(p.PPID, "root"))
	if err != nil || !filepath.IsAbs(name) {
		return daemonConfig{}, false
	}
	mount, _ := os.Readlink(c.proc.path(p.PPID, "ns/mnt"))
	key := configKey{mount: mount, root: root, name: name}
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.known[key]
	if r == nil {
		if len(c.known) >= maxConfigs {
			clear(c.known)
		}
		r = &readConfig{}
		c.known[key] = r
	}
	if !r.asked && time.Since(r.checked) >= recheckConfig {
		select {
		case c.ask <- configRequest{key: key, pid: p.PPID}:
			r.asked = true
		default:
		}
	}
	return r.config.with(p.Cmd.Params), r.files != nil
}

// run reads what is asked for, and tells ready when something is new.
func (c *configs) run(ctx context.Context, ready func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case request := <-c.ask:
			c.mu.Lock()
			r := c.known[request.key]
			c.mu.Unlock()
			if r == nil {
				continue
			}
			next, ok := patiently(ctx, func() readConfig {
				return r.renew(c.proc.path(request.pid, "root"), request.key.name)
			})
			if !ok {
				return nil
			}
			changed := !maps.Equal(r.files, next.files)
			c.mu.Lock()
			*r = next
			c.mu.Unlock()
			if changed {
				ready()
			}
		}
	}
}

// patiently waits for a function that may hang in a dead file system, until
// the context ends. Nothing can end the hanging call: it is left behind.
func patiently[T any](ctx context.Context, f func() T) (result T, ok bool) {
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case result = <-done:
		return result, true
	case <-ctx.Done():
		return result, false
	}
}

// renew reads the configuration again if one of its files has changed. One
// that cannot be read is as good as none: modules have no name then.
func (r *readConfig) renew(root, name string) readConfig {
	dir, err := os.Open(root)
	if err != nil {
		return readConfig{checked: time.Now()}
	}
	defer dir.Close()
	if r.files != nil && r.current(dir) {
		return readConfig{config: r.config, files: r.files, checked: time.Now()}
	}
	next := readConfig{files: map[string]time.Time{}, checked: time.Now()}
	next.config, err = parseConfig(name, func(name string) ([]byte, error) {
		return next.read(dir, name)
	}, func(name string) ([]string, error) {
		return list(dir, name)
	})
	if err != nil {
		next.files = nil
	}
	return next
}

// current says whether no file has changed.
func (r *readConfig) current(root *os.File) bool {
	for name, modified := range r.files {
		file, err := openBelow(root, name)
		if err != nil {
			return false
		}
		st, err := file.Stat()
		file.Close()
		if err != nil || !st.ModTime().Equal(modified) {
			return false
		}
	}
	return true
}

// read reads one file and notes its age.
func (r *readConfig) read(root *os.File, name string) ([]byte, error) {
	file, err := openBelow(root, name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", name, errNotRegular)
	}
	r.files[name] = st.ModTime()
	return io.ReadAll(io.LimitReader(file, maxConfig))
}

// errNotRegular refuses what is not a file: a pipe would never end.
var errNotRegular = errors.New("not a regular file")

// list lists a directory.
func list(root *os.File, name string) ([]string, error) {
	dir, err := openBelow(root, name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// openBelow opens a file as a process with that root directory would: links
// cannot lead out of it (openat2(2), RESOLVE_IN_ROOT).
func openBelow(root *os.File, name string) (*os.File, error) {
	fd, err := unix.Openat2(int(root.Fd()), strings.TrimPrefix(name, "/"), &unix.OpenHow{
		Flags:   unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY,
		Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
