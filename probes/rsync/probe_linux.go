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

	"lifeline/probes/rsync/discovery"
	"lifeline/probes/rsync/proc"
	"lifeline/probes/rsync/rsyncd"
	"lifeline/probes/rsync/sockets"
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
	opts      Options
	proc      proc.FS
	sockets   *sockets.Duplicator
	diag      *sockdiag.Client
	routes    *routes
	netns     uint64 // ours
	appeared  chan struct{}
	discovery *discovery.Discovery
	configs   *rsyncd.Cache
	files     chan []fileRequest // for lookUpFiles

	mu             sync.Mutex
	transfers      map[watchdog.TransferID]*transfer
	order          []*transfer       // all that discovery knew last, the oldest first
	turn           int               // in order: whose state was read last
	idleTurn       int               // in order: the idle one that is measured next
	askedSockets   []watchdog.Socket // by askSockDiag, of askedTransfers
	askedTransfers []*transfer
	listed         []watchdog.Transfer
	changed        bool          // since listed was made
	measureAll     bool          // as Follow says
	allDue         bool          // this sample measures all transfers
	allDueAt       time.Duration // monotonic, of the last one that did
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
		proc:      proc.FS{Root: opts.Proc},
		appeared:  make(chan struct{}, 1),
		files:     make(chan []fileRequest, 1),
		transfers: map[watchdog.TransferID]*transfer{},
		routes:    newRoutes(),
		diag:      sockdiag.NewClient(),
	}
	p.sockets = sockets.NewDuplicator(p.proc)
	self, err := proc.Readlink(opts.Proc + "/self")
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
	p.netns, _ = proc.ParseInode(ns, "net:[")
	p.configs = rsyncd.NewCache(p.proc, opts.Log)
	p.discovery = discovery.New(discovery.Options{
		Proc: p.proc, Sockets: p.sockets, Netns: p.netns, ForeignNetns: opts.ForeignNetns,
		Poll: opts.Poll, NoConnector: opts.NoConnector, Log: opts.Log,
	}, p)
	return p, nil
}

// String names the task.
func (p *Probe) String() string { return "rsync probe" }

// Appeared receives a value when a transfer became known, or known better,
// since the last Sample: time to call Sample and to limit it.
func (p *Probe) Appeared() <-chan struct{} { return p.appeared }

// Capability says whether the proc connector is in use.
func (p *Probe) Capability() watchdog.Capability { return p.discovery.Capability() }

// Sessions lists the live, authenticated ssh sessions of this host that carry
// no rsync, as of the last second or two.
func (p *Probe) Sessions() []discovery.Session { return p.discovery.Sessions() }

// SSHPorts lists the ports of this host by which people get in over ssh, as of
// the last second or two; none while no sshd is known.
func (p *Probe) SSHPorts() []uint16 { return p.discovery.SSHPorts() }

// Run discovers transfers until the context ends. Where the proc connector
// fails, at the start or later, it goes on by looking for new pids.
func (p *Probe) Run(ctx context.Context) error {
	defer p.sockets.Retain(func(watchdog.ProcID) bool { return false })
	defer p.diag.Close()
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return p.discovery.Run(ctx) })
	tasks.Go(func() error { return p.lookUpFiles(ctx) })
	tasks.Go(func() error { return p.configs.Run(ctx, p.configured) })
	return tasks.Wait()
}

// configured has all transfers studied again, as the modules of a daemon changed.
func (p *Probe) configured() {
	p.studyAgain()
	p.discovery.Again()
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

// studyAgain has the next pass study all transfers again.
func (p *Probe) studyAgain() {
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
