package rsync

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/sockdiag"
)

// Options of a Probe. The zero value is right for a host.
type Options struct {
	Proc string // where procfs is mounted; "/proc" when empty
	// Poll is how often, without the proc connector, new processes are looked
	// for beside every call of Sample; 200 ms when 0.
	Poll        time.Duration
	NoConnector bool // do not use the proc connector
	// ForeignNetns says that transfers of other network namespaces are limited
	// too: they are measured as closely as ours, else every few seconds.
	ForeignNetns bool
	Log          *slog.Logger // slog.Default when nil
}

// Probe follows the rsync transfers of this host. Its methods may be called
// from several goroutines.
type Probe struct {
	opts     Options
	proc     procFS
	sockets  *duplicator
	diag     *sockdiag.Client
	routes   *routes
	netns    uint64 // ours
	appeared chan struct{}
	recheck  chan int           // pids that Sample found changed
	files    chan []fileRequest // for lookUpFiles

	mu         sync.Mutex
	transfers  map[watchdog.TransferID]*transfer
	capability watchdog.Capability
	failures   []watchdog.ProbeError // of discovery
	sessions   []Session
	sshPorts   []uint16          // as SSHPorts gives them
	order      []*transfer       // all that discovery knew last, the oldest first
	turn       int               // in order: whose state was read last
	idleTurn   int               // in order: the idle one that is measured next
	asked      []watchdog.Socket // by ask, of askedOf
	askedOf    []*transfer
	listed     []watchdog.Transfer
	changed    bool          // since listed was made
	close      bool          // as Follow says
	whole      bool          // this sample measures all transfers
	wholeAt    time.Duration // monotonic, of the last one that did
	alive      time.Time     // of discovery: its last sign of life
	lastPID    int           // that discovery has looked at
}

// errOtherPIDs says that the pids in a procfs would mean other processes here.
var errOtherPIDs = errors.New("procfs of another pid namespace")

// New makes a probe. It fails when there is no procfs of this process's own
// pid namespace.
func New(opts Options) (*Probe, error) {
	if opts.Proc == "" {
		opts.Proc = "/proc"
	}
	if opts.Poll <= 0 {
		opts.Poll = 200 * time.Millisecond
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	p := &Probe{
		opts:      opts,
		proc:      procFS{root: opts.Proc},
		appeared:  make(chan struct{}, 1),
		recheck:   make(chan int, 256),
		files:     make(chan []fileRequest, 1),
		transfers: map[watchdog.TransferID]*transfer{},
		routes:    newRoutes(),
		diag:      sockdiag.NewClient(),
		capability: watchdog.Capability{
			Name: "proc-connector", Why: "not started", Left: "looking for new pids",
		},
	}
	p.sockets = &duplicator{proc: p.proc}
	self, err := readlink(opts.Proc + "/self")
	if err != nil {
		return nil, fmt.Errorf("rsync probe: %w", err)
	}
	if self != strconv.Itoa(os.Getpid()) {
		return nil, fmt.Errorf("rsync probe: %s: %w", opts.Proc, errOtherPIDs)
	}
	// Not that of the process: it is the main thread's, and one that was lent
	// out to another namespace may be parked there.
	ns, err := os.Readlink(opts.Proc + "/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("rsync probe: own network namespace: %w", err)
	}
	p.netns, _ = bracketed(ns, "net:[")
	return p, nil
}

// String names the task.
func (p *Probe) String() string { return "rsync probe" }

// Appeared receives a value when a transfer became known, or known better,
// since the last Sample: time to call Sample and to limit it.
func (p *Probe) Appeared() <-chan struct{} { return p.appeared }

// Capability says whether the proc connector is in use.
func (p *Probe) Capability() watchdog.Capability {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.capability
}

// Run discovers transfers until the context ends. Where the proc connector
// fails, at the start or later, it goes on by looking for new pids.
func (p *Probe) Run(ctx context.Context) error {
	defer p.sockets.keep(func(watchdog.ProcID) bool { return false })
	defer p.diag.Close()
	d := newDiscovery(p)
	tasks, ctx := errgroup.WithContext(ctx)
	conn, err := p.connect()
	if err == nil {
		d.scan.events = true
		tasks.Go(func() error { d.listen(ctx, conn); return nil })
	}
	p.setCapability(err)
	tasks.Go(func() error { return d.run(ctx) })
	tasks.Go(func() error { return p.lookUpFiles(ctx) })
	tasks.Go(func() error { return d.configs.run(ctx, d.configured) })
	return tasks.Wait()
}

func (p *Probe) connect() (*connector, error) {
	if p.opts.NoConnector {
		return nil, errors.New("switched off")
	}
	return openConnector()
}

func (p *Probe) setCapability(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.capability.Available, p.capability.Why, p.capability.Left = err == nil, "", ""
	if err != nil {
		p.capability.Why = err.Error()
		p.capability.Left = "looking for new pids at every tick"
	}
}

// Sessions lists the live, authenticated ssh sessions of this host that carry
// no rsync, as of the last second or two.
func (p *Probe) Sessions() []Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.sessions)
}

// seen notes the last pid that discovery has looked at, and gives the one
// before.
func (p *Probe) seen(last int) (before int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, p.lastPID = p.lastPID, last
	return before
}

// setFailure notes that a part of discovery failed, or works again.
func (p *Probe) setFailure(what string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = slices.DeleteFunc(p.failures, func(e watchdog.ProbeError) bool { return e.Probe == watchdog.ProbeRsync.Part(what) })
	if err != nil {
		p.failures = append(p.failures, watchdog.ProbeError{Probe: watchdog.ProbeRsync.Part(what), Err: err.Error()})
	}
}

// retain drops the transfers that are no more, and orders the others.
func (p *Probe) retain(live map[watchdog.TransferID]bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.DeleteFunc(p.transfers, func(id watchdog.TransferID, _ *transfer) bool { return !live[id] })
	p.changed = true
	p.order = slices.SortedFunc(maps.Values(p.transfers), func(a, b *transfer) int {
		return cmp.Or(cmp.Compare(a.Procs[0].Start, b.Procs[0].Start), cmp.Compare(a.ID, b.ID))
	})
}

// unsettle has the next pass study all transfers again.
func (p *Probe) unsettle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.transfers {
		t.studied = time.Time{}
	}
}

// wake tells the caller that there is something new.
func (p *Probe) wake() {
	select {
	case p.appeared <- struct{}{}:
	default:
	}
}

// uptime is the time since boot, suspends included: the clock of start times.
func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
