package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

const rsyncPort = 873

// startRsyncd starts srv's rsync daemon and waits until it listens.
func (l *Lab) startRsyncd(ctx context.Context) error {
	path := filepath.Join(l.dir, "etc", "rsyncd.conf")
	if err := os.WriteFile(path, l.rsyncdConf(), 0o644); err != nil {
		return fmt.Errorf("lab: %w", err)
	}
	l.rsyncd = l.Srv.Command(l.ctx, "rsync", "--daemon", "--no-detach", "--config="+path)
	return l.startServer(ctx, l.rsyncd, rsyncPort, "@RSYNCD:")
}

// rsyncdConf returns the daemon's configuration, see rsyncd.conf(5).
func (l *Lab) rsyncdConf() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "uid = root\ngid = root\nuse chroot = no\nmax connections = 0\nreverse lookup = no\n")
	fmt.Fprintf(&b, "log file = %s\n", filepath.Join(l.dir, "etc", "rsyncd.log"))
	if s := int(l.opts.RsyncdTimeout.Seconds()); s > 0 {
		fmt.Fprintf(&b, "timeout = %d\n", s)
	}
	fmt.Fprintf(&b, "[src]\npath = %s\nread only = yes\n", filepath.Join(l.dir, "src"))
	fmt.Fprintf(&b, "[dst]\npath = %s\nread only = no\n", filepath.Join(l.dir, "dst"))
	return b.Bytes()
}

// startServer starts a server in srv and waits until it greets whoever connects
// to the port; if it ends instead, what it wrote is in the error.
func (l *Lab) startServer(ctx context.Context, c *Cmd, port int, greeting string) error {
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	l.spawn(func(context.Context) { ended <- c.Wait() })
	name := filepath.Base(c.Path)
	return poll(ctx, 20*time.Second, name+" to listen", func() (bool, error) {
		select {
		case err := <-ended:
			return false, fmt.Errorf("lab: %s: %w: %s", name, err, bytes.TrimSpace(said.Bytes()))
		default:
			return l.greets(port, greeting), nil
		}
	})
}

// greets says whether a server in srv answers a connection with the greeting.
func (l *Lab) greets(port int, greeting string) bool {
	got := make([]byte, len(greeting))
	err := l.Srv.Do(func() error {
		const patience = time.Second
		c, err := net.DialTimeout("tcp", netip.AddrPortFrom(l.Srv.IPv4, uint16(port)).String(), patience)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
		_, err = io.ReadFull(c, got)
		return err
	})
	return err == nil && string(got) == greeting
}

// Direction is the way of the payload, as srv's network card sees it.
type Direction int

// Push: cli sends, srv receives. Pull: srv sends, cli receives.
const (
	Push Direction = iota
	Pull
)

// String returns "push" or "pull".
func (d Direction) String() string {
	if d == Pull {
		return "pull"
	}
	return "push"
}

// Via is how a client reaches the server.
type Via int

// ViaDaemon connects to rsyncd, ViaSSH starts `rsync --server` through sshd.
const (
	ViaDaemon Via = iota
	ViaSSH
)

// String returns "daemon" or "ssh".
func (v Via) String() string {
	if v == ViaSSH {
		return "ssh"
	}
	return "daemon"
}

// Transfers describes rsync clients to be started on cli at once.
type Transfers struct {
	Dir     Direction
	Via     Via
	N       int // 0 is 1
	IPv6    bool
	Args    []string      // further options of rsync
	SSHArgs []string      // further options of ssh
	Timeout time.Duration // rsync's --timeout in whole seconds; 0 is none
}

// Batch are transfers that were started together.
type Batch []*Transfer

// Transfer is one rsync client. Each has a destination of its own.
type Transfer struct {
	Dest    string    // directory that receives the files
	Started time.Time // just before the process was started

	cmd    *Cmd
	stderr bytes.Buffer
	done   chan struct{}
	err    error
	lab    *Lab
}

// Start starts rsync clients on cli. They end with their work, with ctx, or
// with the lab. If one cannot be started, those before it are returned too.
func (l *Lab) Start(ctx context.Context, t Transfers) (Batch, error) {
	setDefault(&t.N, 1)
	src, err := l.SourceDir()
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.batches++
	batch := l.batches
	l.mu.Unlock()
	var started Batch
	for i := range t.N {
		one, err := l.startTransfer(ctx, t, src, fmt.Sprintf("b%d-%d", batch, i+1))
		if err != nil {
			return started, err
		}
		started = append(started, one)
	}
	if l.opts.Sparse {
		l.spawn(func(ctx context.Context) { l.keepHollow(ctx, started) })
	}
	return started, nil
}

func (l *Lab) startTransfer(ctx context.Context, t Transfers, src, name string) (*Transfer, error) {
	dest := filepath.Join(l.dir, "dst", name)
	if t.Dir == Pull {
		dest = filepath.Join(l.dir, "cli", name)
	}
	tr := &Transfer{Dest: dest, done: make(chan struct{}), lab: l}
	tr.cmd = l.Cli.Command(ctx, "rsync", l.rsyncArgs(t, src, dest)...)
	tr.cmd.Stderr = &tr.stderr
	tr.Started = time.Now()
	if err := tr.cmd.Start(); err != nil {
		return nil, err
	}
	l.spawn(func(context.Context) {
		tr.err = tr.cmd.Wait()
		close(tr.done)
	})
	l.mu.Lock()
	l.transfers = append(l.transfers, tr)
	l.mu.Unlock()
	return tr, nil
}

// rsyncArgs returns the client's arguments. The destination is new, and
// --inplace keeps the current file under its own name.
func (l *Lab) rsyncArgs(t Transfers, src, dest string) []string {
	args := []string{"-a", "--inplace"}
	if s := int(t.Timeout.Seconds()); s > 0 {
		args = append(args, "--timeout="+strconv.Itoa(s))
	}
	host := l.Srv.address(t.IPv6).String()
	if t.IPv6 {
		host = "[" + host + "]"
	}
	remoteSrc, remoteDest := "rsync://"+host+"/src/", "rsync://"+host+"/dst/"+filepath.Base(dest)+"/"
	if t.Via == ViaSSH {
		args = append(args, "-e", strings.Join(append(l.sshCommand(), t.SSHArgs...), " "))
		remoteSrc, remoteDest = "root@"+host+":"+src+"/", "root@"+host+":"+dest+"/"
	}
	args = append(args, t.Args...)
	if t.Dir == Pull {
		return append(args, remoteSrc, dest+"/")
	}
	return append(args, src+"/", remoteDest)
}

// Done is closed when the client has ended.
func (t *Transfer) Done() <-chan struct{} { return t.done }

// Wait waits until the client has ended. A failure tells its exit status and
// what it wrote to stderr.
func (t *Transfer) Wait() error {
	<-t.done
	if t.err == nil {
		return nil
	}
	return fmt.Errorf("lab: rsync to %s: %w: %s", t.Dest, t.err, bytes.TrimSpace(t.stderr.Bytes()))
}

// ExitStatus waits until the client has ended and returns its exit status (see
// rsync(1)), or -1 if a signal ended it.
func (t *Transfer) ExitStatus() int {
	<-t.done
	return t.cmd.ProcessState.ExitCode()
}

// Stderr waits until the client has ended and returns what it wrote to stderr.
func (t *Transfer) Stderr() string {
	<-t.done
	return t.stderr.String()
}

// Stop kills the client, and ssh with it, and waits for its end.
func (t *Transfer) Stop() {
	select {
	case <-t.done:
	default:
		_ = killGroup(t.cmd.Process) // it may have ended meanwhile
		<-t.done
	}
}

// Verify waits until the client has ended, and fails unless it succeeded before
// the context's end and every source file has arrived unaltered.
func (t *Transfer) Verify(ctx context.Context) error {
	select {
	case <-t.done:
	case <-ctx.Done():
		return fmt.Errorf("lab: rsync to %s has not ended: %w", t.Dest, ctx.Err())
	}
	if err := t.Wait(); err != nil {
		return err
	}
	return t.lab.source.verify(ctx, t.Dest)
}

// Wait waits for all transfers and returns the failures.
func (b Batch) Wait() error {
	var errs []error
	for _, t := range b {
		errs = append(errs, t.Wait())
	}
	return errors.Join(errs...)
}

// Stop kills all clients and waits for their ends.
func (b Batch) Stop() {
	var wg sync.WaitGroup
	for _, t := range b {
		wg.Go(t.Stop)
	}
	wg.Wait()
}

// Verify waits for all transfers and compares all that they copied.
func (b Batch) Verify(ctx context.Context) error {
	var errs []error
	for _, t := range b {
		errs = append(errs, t.Verify(ctx))
	}
	return errors.Join(errs...)
}

// VerifyChecksums waits for every transfer that was ever started in the lab
// and compares all that they copied with the source, by SHA-256. A transfer
// that failed or was stopped fails it.
func (l *Lab) VerifyChecksums(ctx context.Context) error {
	l.mu.Lock()
	all := Batch(append([]*Transfer(nil), l.transfers...))
	l.mu.Unlock()
	return all.Verify(ctx)
}
