package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/configs"
	"lifeline/remediate"
	"lifeline/remediate/guard"
	"lifeline/remediate/remedy"
	"lifeline/remediate/shaper"
	"lifeline/remediate/sysctl"
	"lifeline/remediate/trial"
	"lifeline/remediate/undo"
	"lifeline/watchdog"
	"lifeline/watchdog/engine"
	"lifeline/watchdog/files"
	"lifeline/watchdog/ledger"
	"lifeline/watchdog/web"
)

// self is this very program, also after a package upgrade has replaced its file.
const self = "/proc/self/exe"

// The commands under which the daemon starts this very program again.
const (
	GuardCommand   = "guard"       // undoes everything when the daemon is gone
	TrialCommand   = "trial-child" // the process on which mechanisms are tried
	PrebootCommand = "preboot"     // the check before a reboot
)

// lockWait is how long another Lifeline's guard may take to clean up.
const lockWait = 5 * time.Second

// actuator is everything that touches the kernel: the enforcer, its ledger and
// its guard; in a dry run, what only says so.
type actuator struct {
	engine.Actuator
	dry *remediate.DryRun // instead of an enforcer; nil when it acts
	log *slog.Logger

	mu           sync.Mutex
	capabilities []watchdog.Capability
	reached      bool // a real transfer's socket was tried, by tryReach
	tryReach     func([]watchdog.Transfer) (lacking []watchdog.Capability, tried bool)

	enforcer *remediate.Enforcer
	shaper   *shaper.HTB     // nil where none may be made
	ports    func() []uint16 // by which people get in over ssh; set before anything runs
	guard    *guard.Supervisor
	ledger   *ledger.Ledger
	lock     *undo.Lock
}

// newActuator takes the lock, undoes what an earlier daemon left, finds out what
// this host allows, and starts the guard.
func newActuator(ctx context.Context, cfg configs.Config, log *slog.Logger, dryRun bool) (*actuator, error) {
	a := &actuator{log: log, tryReach: trial.Reach}
	if dryRun {
		a.dry = &remediate.DryRun{Log: log}
		a.Actuator = a.dry
		_, unguarded := guard.Outlives()
		a.capabilities = append(trial.Run(ctx, []string{self, TrialCommand}).Capabilities, sysctl.Capability(unguarded))
		var err error
		a.shaper, _, err = shaper.New(nil, shaper.Options{Untried: true})
		return a, err
	}
	if err := a.begin(ctx, cfg); err != nil {
		return nil, errors.Join(err, a.release())
	}
	return a, nil
}

// begin makes the parts of one that acts. After an error some may be there.
func (a *actuator) begin(ctx context.Context, cfg configs.Config) (err error) {
	if err := a.takeLedger(ctx, cfg.RunDir); err != nil {
		return err
	}
	trials := trial.Run(ctx, []string{self, TrialCommand})
	place, unguarded := guard.Outlives()
	shaperCaps, err := a.makeShaper(cfg, unguarded)
	if err != nil {
		return fmt.Errorf("shaper: %w", err)
	}
	a.capabilities = slices.Concat(trials.Capabilities, shaperCaps, []watchdog.Capability{sysctl.Capability(unguarded), guard.Capability(unguarded)})
	a.guard = &guard.Supervisor{
		Argv:   []string{self, GuardCommand, "--dir", cfg.RunDir, "--lease", cfg.Guard.Lease.String()},
		Ledger: a.ledger, Log: a.log, Place: place,
	}
	settings := enforcerSettings(cfg, trials, a.capabilities, unguarded)
	var shaper remediate.Shaper // nil, not a nil of a type
	if a.shaper != nil {
		shaper = a.shaper
	}
	a.enforcer = remediate.New(a.ledger, a.guard, shaper, settings)
	a.Actuator = a.enforcer
	return nil
}

var errNoPause = errors.New("this host does not allow it: see the capabilities in `lifeline status`")

// enforcerSettings are what the enforcer may do on a host of these capabilities. unguarded
// is why a guard would not outlive the daemon; nil when it would.
func enforcerSettings(cfg configs.Config, trials trial.Result, capabilities []watchdog.Capability, unguarded error) remediate.Settings {
	s := remediate.Settings{
		FullClamp: trials.FullClamp, HoldBuffer: trials.HoldBuffer, NoPause: unguarded, NoShaper: unguarded,
		Bursts: remedy.Available(capabilities, remedy.SmallBursts),
		Budget: remediate.Budget{PausesPerHour: cfg.Budget.Pauses, MaxHold: cfg.Budget.PauseHold.Duration},
	}
	if unguarded == nil && !remedy.Available(capabilities, remedy.Pause) {
		s.NoPause = errNoPause
	}
	return s
}

// makeShaper tries what the kernel can do, which may load modules; where no
// shaper may be made, for the reason given, nothing is tried.
func (a *actuator) makeShaper(cfg configs.Config, forbidden error) (caps []watchdog.Capability, err error) {
	if forbidden != nil {
		return shaper.NoCapabilities(forbidden), nil
	}
	ports := func() []uint16 {
		if a.ports == nil {
			return nil
		}
		return a.ports()
	}
	a.shaper, caps, err = shaper.New(a.ledger, shaper.Options{PerHour: cfg.Budget.Shapers, SSHPorts: ports})
	return caps, err
}

// takeLedger locks the run directory and undoes what its ledger lists.
func (a *actuator) takeLedger(ctx context.Context, dir string) (err error) {
	var rest undo.Report
	a.lock, a.ledger, rest, err = undo.TakeOver(ctx, dir, lockWait, undo.Undoer{})
	a.tellUndone(rest)
	if err != nil {
		return fmt.Errorf("%w: %s", err, takeOverHint(err, a.lock != nil))
	}
	if err := files.TrustDir(dir); err != nil {
		return fmt.Errorf("run_dir: %w", err) // who can move the ledger away can keep things from being undone
	}
	if !onTmpfs(dir) {
		a.log.Warn("run_dir is not on a tmpfs: a busy disk can make every change wait", "run_dir", dir)
	}
	return nil
}

// takeOverHint says what to do about a run directory that could not be taken over.
func takeOverHint(err error, locked bool) string {
	switch {
	case errors.Is(err, undo.ErrLocked):
		return "`lifeline status` shows it; one daemon serves a host"
	case errors.Is(err, os.ErrPermission):
		return "run as root, or with --dry-run and a --state and --socket of your own"
	case !locked:
		return "run_dir has to be a directory that can be written to"
	}
	return "without its ledger in run_dir Lifeline changes nothing"
}

// tellUndone says what an earlier daemon had left.
func (a *actuator) tellUndone(r undo.Report) {
	for _, line := range r.Damage {
		a.log.Warn("a line of the ledger could not be read, and what it said is not undone", "line", line)
	}
	if n := len(r.Results); n > 0 {
		a.log.Warn("undid what an earlier daemon left", "entries", n, "error", r.Err())
	}
}

// Apply makes the kernel match want. The first transfer that there is tells
// whether the sockets of others can be reached at all.
func (a *actuator) Apply(ctx context.Context, want watchdog.Desired, transfers []watchdog.Transfer) watchdog.Outcome {
	if !a.reached {
		a.reach(transfers)
	}
	return a.Actuator.Apply(ctx, want, transfers)
}

func (a *actuator) reach(transfers []watchdog.Transfer) {
	lacking, tried := a.tryReach(transfers)
	a.reached = tried
	a.mu.Lock()
	defer a.mu.Unlock()
	replaceCapabilities(a.capabilities, lacking)
	tellCapabilities(a.log, lacking)
}

// replaceCapabilities puts those that are known better now in the place of what was
// known of them.
func replaceCapabilities(all, better []watchdog.Capability) {
	for _, b := range better {
		for i := range all {
			if all[i].Name == b.Name {
				all[i] = b
			}
		}
	}
}

// able lists what was found out about this host.
func (a *actuator) able() []watchdog.Capability {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.capabilities)
}

// tellCapabilities writes into the log what this host allows and what it lacks.
func tellCapabilities(log *slog.Logger, cs []watchdog.Capability) {
	var there []string
	for _, c := range cs {
		if c.Available {
			there = append(there, c.Name)
		} else {
			log.Warn("mechanism is not available", "mechanism", c.Name, "why", c.Why, "left", c.Left)
		}
	}
	if there != nil {
		log.Info("mechanisms are available", "mechanisms", there)
	}
}

// onTmpfs tells whether a directory lies in memory (statfs(2)).
func onTmpfs(dir string) bool {
	var st unix.Statfs_t
	return unix.Statfs(dir, &st) == nil && (st.Type == unix.TMPFS_MAGIC || st.Type == unix.RAMFS_MAGIC)
}

// shapeable tells whether a shaper can be had or stands.
func (a *actuator) shapeable(k watchdog.ShaperKey) bool {
	if a.shaper == nil {
		return false
	}
	return a.shaper.Available(k) == nil
}

// guardState is what can be told of the guard.
func (a *actuator) guardState() guardState {
	if a.guard == nil {
		return guardState{}
	}
	return guardState{a.guard.PID(), a.guard.Degraded()}
}

// dryRunCounts are what a dry run would have done so far; nil without one.
func (a *actuator) dryRunCounts() *web.DryRunCounts {
	if a.dry == nil {
		return nil
	}
	return &web.DryRunCounts{Limits: a.dry.Limits, Pauses: a.dry.Pauses, Shapers: a.dry.Shapers}
}

// undo undoes everything and lets the guard go. It is called when the loop has
// ended, or never began; also on a half-made actuator, and twice.
func (a *actuator) undo() (err error) {
	if a.enforcer != nil {
		err = a.enforcer.ReleaseAll(context.Background(), undo.Undoer{})
	}
	if a.guard != nil {
		a.guard.Close()
	}
	a.enforcer, a.guard = nil, nil
	return err
}

// release undoes everything and lets go of the ledger and the lock.
func (a *actuator) release() error {
	errs := []error{a.undo()}
	if a.ledger != nil {
		errs = append(errs, a.ledger.Close())
	}
	if a.lock != nil {
		errs = append(errs, a.lock.Release())
	}
	a.ledger, a.lock = nil, nil
	return errors.Join(errs...)
}
