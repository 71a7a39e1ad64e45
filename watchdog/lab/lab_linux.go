package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Lab is a running test bed. Its methods may be called concurrently.
type Lab struct {
	Srv  *Host // the backup server
	Cli  *Host // the rsync clients' machine
	Mgmt *Host // the administrator's machine
	Sw   *Host // the switch
	Gw   *Host // the router; nil with NoGateway

	opts    Options
	id      identity
	dir     string // of everything the lab writes
	hosts   []*Host
	spawner *spawner
	source  *source
	rsyncd  *Cmd
	sshd    *Cmd

	// ctx ends with the lab, and so do the goroutines that tasks counts.
	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup

	mu        sync.Mutex
	batches   int // of transfers, to name their destinations
	transfers []*Transfer

	closing  sync.Once
	closeErr error
}

// New builds a lab and returns when srv answers a ping from mgmt and accepts
// rsync and ssh connections. It needs root. It first removes what labs of dead
// processes have left. ctx bounds the building alone: end the lab with Close.
func New(ctx context.Context, o Options) (*Lab, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("lab: network namespaces need root")
	}
	if err := Sweep(); err != nil {
		return nil, err
	}
	id, err := newIdentity()
	if err != nil {
		return nil, err
	}
	l := &Lab{opts: o, id: id, spawner: newSpawner()}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	if err := l.build(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func newIdentity() (identity, error) {
	start, ok, err := startTime(os.Getpid())
	if err != nil || !ok {
		return identity{}, fmt.Errorf("lab: own start time: %w", err)
	}
	var r [4]byte
	rand.Read(r[:])
	return identity{owner{os.Getpid(), start}, hex.EncodeToString(r[:])}, nil
}

// build makes everything, in an order in which each thing finds what it needs.
func (l *Lab) build(ctx context.Context) error {
	steps := []func(context.Context) error{
		l.makeDir,
		l.wire,
		l.startGateway,
		l.startRsyncd,
		l.startSSHD,
		l.awaitPing,
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// dataParents are the directories that hold labs' directories, best first.
func dataParents() []string { return []string{"/dev/shm", os.TempDir()} }

// makeDir makes the lab's directory on tmpfs if that has room for the source
// files and for a minute of transfers, else on disk.
func (l *Lab) makeDir(context.Context) error {
	minute := l.opts.Rate / 8 * 60
	need := uint64(l.opts.Files)*uint64(l.opts.FileSize) + min(minute, 8<<30)
	if l.opts.Sparse {
		need = l.opts.Rate / 8 // what arrives between two looks, amply
	}
	parents := dataParents()
	if l.opts.DataDir != "" {
		parents = []string{l.opts.DataDir}
	} else if free(parents[0]) < need {
		parents = parents[1:]
	}
	l.dir = filepath.Join(parents[0], l.id.String())
	l.source = &source{dir: filepath.Join(l.dir, "src"), files: l.opts.Files, size: l.opts.FileSize, sparse: l.opts.Sparse}
	for _, d := range []string{"", "src", "dst", "cli", "etc", "home"} {
		if err := os.Mkdir(filepath.Join(l.dir, d), 0o700); err != nil {
			return fmt.Errorf("lab: %w", err)
		}
	}
	return nil
}

// free returns the bytes that dir's file system has left; 0 if unknown.
func free(dir string) uint64 {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0
	}
	return st.Bavail * uint64(st.Bsize)
}

// Dir returns the lab's own directory, which Close removes: src with the source
// files, dst and cli with what was pushed and pulled, home of srv's ssh
// sessions, etc with the servers' configuration, keys and logs (rsyncd.log,
// sshd.log).
func (l *Lab) Dir() string { return l.dir }

// spawn runs a goroutine that Close waits for; it must end with its context.
func (l *Lab) spawn(f func(context.Context)) {
	l.tasks.Go(func() { f(l.ctx) })
}

// Close removes the lab: every process in it, its namespaces and its files.
// Closing again returns what the first Close returned.
func (l *Lab) Close() error {
	l.closing.Do(func() { l.closeErr = l.tearDown() })
	return l.closeErr
}

func (l *Lab) tearDown() error {
	l.cancel()
	l.spawner.close() // nothing starts from here on
	inodes := map[uint64]bool{}
	for _, h := range l.hosts {
		if h.inode != 0 {
			inodes[h.inode] = true
		}
	}
	errs := []error{killAll(inAny(inodes, l.id.String()))}
	l.tasks.Wait()
	for _, h := range slices.Backward(l.hosts) {
		errs = append(errs, h.remove())
	}
	if l.dir != "" {
		errs = append(errs, os.RemoveAll(l.dir))
	}
	return errors.Join(errs...)
}

// awaitPing waits until srv answers mgmt.
func (l *Lab) awaitPing(ctx context.Context) error {
	return poll(ctx, 20*time.Second, "srv to answer a ping from mgmt", func() (bool, error) {
		p, err := l.Ping(ctx, Ping{Interval: 10 * time.Millisecond, Count: 3, Timeout: l.opts.BaseRTT + 100*time.Millisecond})
		if err != nil {
			return false, err
		}
		return p.Wait().Loss() < 1, nil
	})
}

// poll asks every 10 ms until f says yes, fails, or patience runs out.
func poll(ctx context.Context, patience time.Duration, what string, f func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if ok, err := f(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("lab: wait for %s: %w", what, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}
