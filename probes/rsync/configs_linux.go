package rsync

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// configs keeps the configurations of the daemons that were met. They are
// read apart from discovery: a file below a container's root may hang. Those that
// root reads wait for no other user's.
type configs struct {
	proc  procFS
	log   *slog.Logger
	roots *configLane
	users *configLane
}

// configLane are configurations that are read one after the other.
type configLane struct {
	ask chan configRequest

	mu    sync.Mutex
	known map[configKey]*readConfig
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
	config  daemonConfig
	files   map[string]state // by name; nil until it was read
	err     error            // why it is as good as none
	checked time.Time
	asked   bool
}

const (
	recheckConfig = time.Second // a daemon reads its files anew for every connection
	maxConfig     = 1 << 20     // bytes of a configuration, with all that it includes
	maxConfigs    = 256         // configurations kept of a lane

	// The users' lane rests that many times as long as its last reading took, and no
	// longer than recheckConfig: files that change all the time take no more of a
	// processor. Root's daemons wait for nothing.
	configRest = 20
)

func newConfigs(proc procFS, log *slog.Logger) *configs {
	lane := func() *configLane {
		return &configLane{ask: make(chan configRequest, 64), known: map[configKey]*readConfig{}}
	}
	return &configs{proc: proc, log: log, roots: lane(), users: lane()}
}

// of gives the configuration of a daemon's child, if it has been read. If not,
// or not lately, it is asked for. parent is the process above it, nil when unknown.
func (c *configs) of(p, parent *process) (daemonConfig, bool) {
	name := configName(p)
	if !filepath.IsAbs(name) {
		return daemonConfig{}, false
	}
	by, err := c.proc.readerOf(p, parent)
	if err != nil {
		return daemonConfig{}, false
	}
	key := configKey{mount: by.mount, root: by.root, name: name, who: by.who.String()}
	config, ok := c.lane(by).of(key, by)
	return config.with(p.Cmd.Params), ok
}

// configName is the path of a daemon's configuration.
func configName(p *process) string {
	if p.Cmd.Config == "" {
		return "/etc/rsyncd.conf"
	}
	return p.Cmd.Config
}

func (c *configs) lane(by reader) *configLane {
	if by.who.uid == 0 {
		return c.roots
	}
	return c.users
}

func (l *configLane) of(key configKey, by reader) (daemonConfig, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.known[key]
	if r == nil && by.late {
		return daemonConfig{}, false
	}
	if r == nil {
		if len(l.known) >= maxConfigs {
			clear(l.known)
		}
		r = &readConfig{}
		l.known[key] = r
	}
	if !r.asked && !by.late && time.Since(r.checked) >= recheckConfig {
		select {
		case l.ask <- configRequest{key: key, by: by}:
			r.asked = true
		default:
		}
	}
	return r.config, r.files != nil && r.err == nil
}

// run reads what is asked for, and tells ready when something is new.
func (c *configs) run(ctx context.Context, ready func()) error {
	tasks, ctx := errgroup.WithContext(ctx)
	for _, l := range []*configLane{c.roots, c.users} {
		tasks.Go(func() error { return c.runLane(ctx, l, ready) })
	}
	return tasks.Wait()
}

func (c *configs) runLane(ctx context.Context, l *configLane, ready func()) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case request := <-l.ask:
			l.mu.Lock()
			r := l.known[request.key]
			l.mu.Unlock()
			if r == nil {
				continue
			}
			began := time.Now()
			next, ok := patiently(ctx, func() readConfig { return c.renew(r, request) })
			if !ok {
				return nil
			}
			changed := !maps.Equal(r.files, next.files)
			if changed && next.err != nil {
				c.tell(request, next.err)
			}
			l.mu.Lock()
			*r = next
			l.mu.Unlock()
			if changed {
				ready()
			}
			if l == c.users {
				rest(ctx, min(configRest*time.Since(began), recheckConfig))
			}
		}
	}
}

// tell says what could not be read. Users may name as many files as they like, and
// do not fill the log with them.
func (c *configs) tell(request configRequest, err error) {
	level := slog.LevelDebug
	if request.by.who.uid == 0 {
		level = slog.LevelWarn
	}
	c.log.Log(context.Background(), level, "the configuration of an rsync daemon is not read, and its modules have no name and no timeout here",
		"pid", request.by.id.PID, "uid", request.by.who.uid, "file", fmt.Sprintf("%q", request.key.name), "error", err)
}

// rest waits, until the context ends.
func rest(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
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

// renew reads a configuration as its reader would.
func (c *configs) renew(r *readConfig, request configRequest) readConfig {
	root, err := c.proc.enter(request)
	if err != nil {
		// Its reader has gone, or become another: what was read before stands.
		return readConfig{config: r.config, files: r.files, err: r.err, checked: time.Now()}
	}
	t := tree{root: root, who: request.by.who}
	defer t.close()
	return r.renew(t, request.key.name)
}

// renew reads the configuration again if one of its files has changed. One
// that cannot be read is as good as none: modules have no name then.
func (r *readConfig) renew(t tree, name string) readConfig {
	if r.files != nil && r.current(t) {
		return readConfig{config: r.config, files: r.files, err: r.err, checked: time.Now()}
	}
	next := readConfig{files: map[string]state{}, checked: time.Now()}
	left := maxConfig
	next.config, next.err = parseConfig(name, func(name string) ([]byte, error) {
		text, st, err := t.read(name, left)
		next.files[name] = st
		left -= len(text)
		return text, err
	}, func(name string) ([]string, error) {
		list, err := t.list(name)
		if err == nil {
			next.files[name] = t.look(name)
		}
		return list, err
	})
	if next.err != nil {
		next.config = daemonConfig{}
	}
	return next
}

// current says whether no file has changed. None is opened for that.
func (r *readConfig) current(t tree) bool {
	for name, was := range r.files {
		if t.look(name) != was {
			return false
		}
	}
	return true
}
