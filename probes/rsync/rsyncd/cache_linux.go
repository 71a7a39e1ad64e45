package rsyncd

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog/files"
)

// Cache keeps the configurations of the daemons that were met. They are
// read apart from discovery: a file below a container's root may hang. Those that
// root reads wait for no other user's.
type Cache struct {
	proc  proc.FS
	log   *slog.Logger
	roots *queue
	users *queue
}

// queue are configurations that are read one after the other.
type queue struct {
	requests chan configRequest

	mu      sync.Mutex
	configs map[configKey]*readConfig
}

// configKey names a configuration file as a process sees it.
type configKey struct {
	mount string // mount namespace
	root  string // root directory
	name  string
	who   string // credentials
}

// configRequest is a configuration to be read, with what its reader sees.
type configRequest struct {
	key configKey
	by  reader
}

// readConfig is a configuration with the files that it came from.
type readConfig struct {
	config  Config
	files   map[string]fileState // by name; nil until it was read
	err     error                // why it is as good as none
	checked time.Time
	asked   bool
}

const (
	RecheckAfter = time.Second // a daemon reads its files anew for every connection
	maxConfig    = 1 << 20     // bytes of a configuration, with all that it includes
	maxConfigs   = 256         // configurations kept of a lane

	// The users' lane rests that many times as long as its last reading took, and no
	// longer than RecheckAfter: files that change all the time take no more of a
	// processor. Root's daemons wait for nothing.
	configRest = 20
)

// NewCache makes an empty one. Run reads what Config asks for.
func NewCache(proc proc.FS, log *slog.Logger) *Cache {
	lane := func() *queue {
		return &queue{requests: make(chan configRequest, 64), configs: map[configKey]*readConfig{}}
	}
	return &Cache{proc: proc, log: log, roots: lane(), users: lane()}
}

// Config gives the configuration of a daemon's child, if it has been read. If not,
// or not lately, it is asked for. parent is the process above it, nil when unknown.
func (c *Cache) Config(p, parent *proc.Process) (Config, bool) {
	name := configName(p)
	if !filepath.IsAbs(name) {
		return Config{}, false
	}
	by, err := c.readerOf(p, parent)
	if err != nil {
		return Config{}, false
	}
	key := configKey{mount: by.mount, root: by.root, name: name, who: by.credentials.key()}
	config, ok := c.queue(by).config(key, by)
	return config.withParams(p.Cmd.Params), ok
}

// configName is the path of a daemon's configuration.
func configName(p *proc.Process) string {
	if p.Cmd.Config == "" {
		return "/etc/rsyncd.conf"
	}
	return p.Cmd.Config
}

func (c *Cache) queue(by reader) *queue {
	if by.credentials.uid == 0 {
		return c.roots
	}
	return c.users
}

func (l *queue) config(key configKey, by reader) (Config, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.configs[key]
	if r == nil && by.tooLate {
		return Config{}, false
	}
	if r == nil {
		if len(l.configs) >= maxConfigs {
			clear(l.configs)
		}
		r = &readConfig{}
		l.configs[key] = r
	}
	if !r.asked && !by.tooLate && time.Since(r.checked) >= RecheckAfter {
		select {
		case l.requests <- configRequest{key: key, by: by}:
			r.asked = true
		default:
		}
	}
	return r.config, r.files != nil && r.err == nil
}

// Run reads what is asked for, and tells ready when something is new.
func (c *Cache) Run(ctx context.Context, ready func()) error {
	tasks, ctx := errgroup.WithContext(ctx)
	for _, l := range []*queue{c.roots, c.users} {
		tasks.Go(func() error { return c.runQueue(ctx, l, ready) })
	}
	return tasks.Wait()
}

func (c *Cache) runQueue(ctx context.Context, l *queue, ready func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case request := <-l.requests:
			l.mu.Lock()
			r := l.configs[request.key]
			l.mu.Unlock()
			if r == nil {
				continue
			}
			began := time.Now()
			next, ok := files.Until(ctx, func() readConfig { return c.renew(r, request) })
			if !ok {
				return nil
			}
			changed := !maps.Equal(r.files, next.files)
			if changed && next.err != nil {
				c.logFailure(request, next.err)
			}
			l.mu.Lock()
			*r = next
			l.mu.Unlock()
			if changed {
				ready()
			}
			if l == c.users {
				sleep(ctx, min(configRest*time.Since(began), RecheckAfter))
			}
		}
	}
}

// logFailure says what could not be read. Users may name as many files as they like, and
// do not fill the log with them.
func (c *Cache) logFailure(request configRequest, err error) {
	level := slog.LevelDebug
	if request.by.credentials.uid == 0 {
		level = slog.LevelWarn
	}
	c.log.Log(context.Background(), level, "the configuration of an rsync daemon is not read, and its modules have no name and no timeout here",
		"pid", request.by.id.PID, "uid", request.by.credentials.uid, "file", fmt.Sprintf("%q", request.key.name), "error", err)
}

// sleep waits, until the context ends.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// renew reads a configuration as its reader would.
func (c *Cache) renew(r *readConfig, request configRequest) readConfig {
	root, err := c.openRoot(request)
	if err != nil {
		// Its reader has gone, or become another: what was read before stands.
		return readConfig{config: r.config, files: r.files, err: r.err, checked: time.Now()}
	}
	t := userTree{root: root, credentials: request.by.credentials}
	defer t.close()
	return r.renew(t, request.key.name)
}

// renew reads the configuration again if one of its files has changed. One
// that cannot be read is as good as none: modules have no name then.
func (r *readConfig) renew(t userTree, name string) readConfig {
	if r.files != nil && r.current(t) {
		return readConfig{config: r.config, files: r.files, err: r.err, checked: time.Now()}
	}
	next := readConfig{files: map[string]fileState{}, checked: time.Now()}
	left := maxConfig
	next.config, next.err = parseConfig(name, func(name string) ([]byte, error) {
		text, st, err := t.read(name, left)
		next.files[name] = st
		left -= len(text)
		return text, err
	}, func(name string) ([]string, error) {
		list, err := t.list(name)
		if err == nil {
			next.files[name] = t.state(name)
		}
		return list, err
	})
	if next.err != nil {
		next.config = Config{}
	}
	return next
}

// current says whether no file has changed. None is opened for that.
func (r *readConfig) current(t userTree) bool {
	for name, was := range r.files {
		if t.state(name) != was {
			return false
		}
	}
	return true
}
