package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os/user"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"lifeline/configs"
	"lifeline/probes/host"
	"lifeline/probes/nic"
	"lifeline/probes/path"
	"lifeline/probes/rsync"
	"lifeline/watchdog/alert"
	"lifeline/watchdog/engine"
	"lifeline/watchdog/facts"
	"lifeline/watchdog/metrics"
	"lifeline/watchdog/web"
)

// task is something long-lived; all of them run in one errgroup.
type task interface {
	Run(context.Context) error
	String() string
}

// Options say what one run of the daemon is to do.
type Options struct {
	Config     configs.Config
	ConfigFrom string // where the configuration came from, for the log
	DryRun     bool   // decide and log, and change nothing
	Version    string // of this build
	Log        *slog.Logger
	Greeting   io.Writer // gets the first status, once
}

// ConfigError says that the configuration asks for what cannot be had.
type ConfigError struct{ Err error }

// Error is the cause's text.
func (e *ConfigError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *ConfigError) Unwrap() error { return e.Err }

// Run watches over this host until ctx ends, and undoes everything before it
// returns. A *ConfigError is the configuration's fault; others are this host's.
func Run(ctx context.Context, o Options) error {
	sigs := catchSignals(o.Log)
	o.Log.Info("starting", "version", o.Version, "config", o.ConfigFrom, "dry_run", o.DryRun)
	d, err := newDaemon(ctx, o)
	if err != nil {
		return err
	}
	d.tasks = append(d.tasks, sigs)
	err = d.run(ctx)
	o.Log.Info("ended", "error", err)
	return err
}

// daemon is all parts, wired.
type daemon struct {
	Options
	cfg       configs.Config
	log       *slog.Logger
	actuator  *actuator
	facts     *facts.Store
	alerts    *alert.Alerts
	metrics   *metrics.Metrics
	health    *web.Health
	manager   *serviceManager // nil where no service manager listens
	loop      *engine.Loop
	publisher *publisher
	tasks     []task
	wake      chan struct{}
	origin    time.Time // of the monotonic time that loop and probes share
}

// newDaemon wires the parts. What it opened is closed again when it fails.
func newDaemon(ctx context.Context, o Options) (*daemon, error) {
	beFrugal(o.Log)
	actuator, err := newActuator(ctx, o.Config, o.Log, o.DryRun)
	if err != nil {
		return nil, err
	}
	d := &daemon{Options: o, cfg: o.Config, log: o.Log, actuator: actuator, wake: make(chan struct{}, 1), origin: time.Now()}
	if err := d.wire(); err != nil {
		return nil, errors.Join(err, actuator.release())
	}
	return d, nil
}

// wire joins the parts.
func (d *daemon) wire() error {
	d.openFacts()
	var err error
	if d.alerts, err = alert.Open(d.cfg.StateDir, d.cfg.AlertConfig(), d.log); err != nil {
		return &ConfigError{err}
	}
	d.tasks = append(d.tasks, d.alerts)
	d.newMetrics()
	s, err := d.newSampler()
	if err != nil {
		return err
	}
	d.publisher = d.newPublisher(s)
	pins := make(chan engine.PinRequest, 16)
	settings := d.cfg.Engine()
	settings.DryRun = d.DryRun
	d.loop = &engine.Loop{
		Engine:  engine.New(settings, d.learnt()),
		Sampler: s, Actuator: d.actuator, Publish: d.publish, Wake: d.wake, Pins: pins, Origin: d.origin,
	}
	d.tasks = append(d.tasks, d.loop)
	d.openPage()
	if d.manager = newServiceManager(d.log); d.manager != nil {
		d.tasks = append(d.tasks, d.manager)
	}
	return d.listen(pins)
}

// openFacts opens what is kept on disk. Without it control goes on, and it is
// tried again.
func (d *daemon) openFacts() {
	j, err := facts.Open(d.cfg.StateDir)
	if err != nil {
		d.log.Warn("nothing is remembered until the journal can be opened, which is tried again", "error", err)
		j = facts.OpenLater(d.cfg.StateDir, err, facts.Late{Join: joinFacts, Opened: func() {
			d.log.Info("the journal is open; what earlier runs learnt is used from the next start on")
			d.tellPutAside()
		}})
	}
	d.facts = j
	j.Say(func(text string) { d.log.Error(text, "journal", filepath.Join(d.cfg.StateDir, facts.File)) })
	d.tellPutAside()
	d.tasks = append(d.tasks, j)
}

func (d *daemon) tellPutAside() {
	if p := d.facts.PutAside(); p != "" {
		d.log.Warn("the journal was damaged; it is put aside and a new one begun", "old", p)
	}
}

// newSampler makes the probes and their tasks.
func (d *daemon) newSampler() (*sampler, error) {
	links, err := nic.New(d.log)
	if err != nil {
		return nil, fmt.Errorf("links: %w", err)
	}
	transfers, err := rsync.New(rsync.Options{Log: d.log, ForeignNetns: d.cfg.ForeignNetns})
	if err != nil {
		return nil, err
	}
	d.actuator.ports = transfers.SSHPorts
	softnet, err := host.NewSoftnet("/proc")
	if err != nil {
		return nil, err
	}
	icmp := path.NewICMP()
	paths := path.New(path.Config{
		Pinger: icmp, Echo: path.NewEchoSockets(), Router: path.Routes{}, Store: pathMemory{d.facts, d.log, d.cfg.Path.Remember},
		Clock: func() time.Duration { return time.Since(d.origin) }, Wall: time.Now, Log: d.log,
		Answered: d.metrics.Answered,
	})
	d.tasks = append(d.tasks, links, transfers, paths,
		relay{"transfers", transfers.Appeared(), d.wake}, relay{"link events", links.Wake(), d.wake})
	reboot := &rebootCheck{stateDir: d.cfg.StateDir, every: d.cfg.Preboot.Every.Duration, log: d.log}
	d.tasks = append(d.tasks, reboot)
	return &sampler{
		transfers: transfers, links: links, softnet: softnet, descriptors: host.NewDescriptors(), paths: paths,
		reboot: reboot.Latest, shapeable: d.actuator.shapeable, targets: d.cfg.Path.Targets, discovery: transfers, icmp: icmp,
	}, nil
}

// listen opens the control socket.
func (d *daemon) listen(pins chan<- engine.PinRequest) error {
	gid := -1
	if g := d.cfg.SocketGroup; g != "" {
		found, err := user.LookupGroup(g)
		if err != nil {
			return fmt.Errorf("socket_group: %w", err)
		}
		if gid, err = strconv.Atoi(found.Gid); err != nil {
			return fmt.Errorf("socket_group %q: %w", g, err)
		}
	}
	l, err := web.Listen(d.cfg.SocketPath(), gid)
	if err != nil {
		return err
	}
	api := web.API{DryRun: d.DryRun, Status: d.publisher.status, Pin: d.publisher.pinner(pins, d.wake), Alerts: d.alerts}
	d.tasks = append(d.tasks, &web.Server{Path: d.cfg.SocketPath(), Listener: l, Handler: api.Handler()})
	return nil
}

// laggards is how long the other tasks may take to end once the loop has: one
// may hang on a file of a dead mount.
const laggards = 10 * time.Second

// run runs all tasks until ctx ends or one of them fails, and undoes everything
// as soon as the loop has ended.
func (d *daemon) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	looped := make(chan struct{})
	for _, t := range d.tasks {
		g.Go(func() error {
			if t == task(d.loop) {
				defer close(looped)
			}
			if err := t.Run(ctx); err != nil {
				return fmt.Errorf("%s: %w", t, err)
			}
			return nil
		})
	}
	g.Go(func() error { return d.publisher.greet(ctx, d.Greeting) })
	<-looped
	undone := d.actuator.undo()
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-time.After(laggards):
		err = fmt.Errorf("a task did not end within %s, perhaps for a file on a dead mount; what was limited is free all the same", laggards)
	}
	return errors.Join(err, undone, d.actuator.release())
}

// relay wakes the loop.
type relay struct {
	name string
	from <-chan struct{}
	to   chan<- struct{}
}

func (r relay) String() string { return "waking by " + r.name }

func (r relay) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.from:
			wakeUp(r.to)
		}
	}
}

// wakeUp wakes whoever listens, once.
func wakeUp(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
