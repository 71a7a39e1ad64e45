package trial

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/remediate/confinement"
	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
	"lifeline/remediate/sockopt"
	"lifeline/watchdog"
)

const (
	Timeout     = 2 * time.Second // for each behaviour that is waited for
	openWindow  = 1 << 20         // bytes: a window that does not throttle
	probePrio   = 0x4c460002      // of the shaper's kind: major "LF", low bits 2
	probePacing = 5 << 30         // bytes/s: more than 32 bits hold
)

// Result is what was found out about this kernel and this process's rights.
type Result struct {
	Capabilities []watchdog.Capability
	// FullClamp says that a clamp on a full receiver does no harm (kernels
	// before 6.7 without "tcp: fix mid stream window clamp" never open the
	// window again).
	FullClamp bool
	// HoldBuffer says that the receive buffer of a clamped socket can be kept as
	// it is, and given back (SO_BUF_LOCK, Linux 5.14).
	HoldBuffer bool
}

// Run tries each mechanism on a loopback connection to a child of ours, whose
// program argv runs RunTrialChild. It takes some tenths of a second, and some
// seconds where a mechanism fails.
func Run(ctx context.Context, argv []string) Result {
	c := confinement.Read()
	t, err := Start(ctx, argv)
	if err != nil {
		return Result{Capabilities: []watchdog.Capability{
			c.Capability(remedy.Window, err), c.Capability(remedy.HoldBuffer, err), c.Capability(remedy.Pacing, err),
			c.Capability(remedy.Priority, err), c.Capability(remedy.Pause, err)}}
	}
	defer t.Close()
	pause := t.tryPause()
	hold := t.tryHold() // before the buffer has grown
	window := t.tryWindow()
	return Result{
		Capabilities: []watchdog.Capability{
			c.Capability(remedy.Window, window),
			c.Capability(remedy.HoldBuffer, hold),
			c.Capability(remedy.Pacing, t.tryPacing()),
			c.Capability(remedy.Priority, t.tryPriority()),
			c.Capability(remedy.Pause, pause),
		},
		HoldBuffer: hold == nil && window == nil,
		FullClamp:  window == nil && pause == nil && t.tryFull() == nil, // last: it may wedge the connection
	}
}

// Reach tries to take the socket of a real transfer: children of ours can be
// reached where others cannot (Yama, LSM labels, other users). It names the
// mechanisms that are lacking then; tried is false when there was nobody to try
// it on.
func Reach(transfers []watchdog.Transfer) (lacking []watchdog.Capability, tried bool) {
	for _, t := range transfers {
		if t.Socket.Inode == 0 || t.Foreign {
			continue
		}
		err := sockopt.VisitOnce(t.Socket, func(fd int) error { return nil })
		if errors.Is(err, process.ErrGone) {
			continue
		}
		if err != nil {
			c, err := confinement.Read(), fmt.Errorf("socket of a running rsync: %w", err)
			for _, name := range []string{remedy.Window, remedy.Pacing, remedy.Priority} {
				lacking = append(lacking, c.Capability(name, err))
			}
		}
		return lacking, true
	}
	return nil, false
}

// tryWindow clamps the connection in mid-stream: data must still flow, the
// offered window must shrink, and a lift must open it again.
func (t *Connection) tryWindow() error {
	open, err := t.Flow(Timeout, func(w int64) bool { return w >= openWindow })
	if err != nil {
		return err
	}
	var floor int64
	clamp := func() error {
		return t.Visit(func(fd int) error {
			c, err := sockopt.Inspect(fd)
			floor = c.MinWindow()
			return errors.Join(err, sockopt.SetWindowClamp(fd, floor))
		})
	}
	if err := clamp(); err != nil {
		return err
	}
	// Autotuning raises the clamp again, so it is set with every look, as in use.
	shrunk := func(w int64) bool { return w <= 2*floor || clamp() != nil }
	if w, err := t.Flow(Timeout, shrunk); err != nil || w > 2*floor {
		return errors.Join(fmt.Errorf("clamped to %d bytes, the window stands at %d", floor, w), err, t.Lift())
	}
	if err := t.Lift(); err != nil {
		return err
	}
	want := min(open, openWindow)
	if w, err := t.Flow(Timeout, func(w int64) bool { return w >= want }); err != nil || w < want {
		return errors.Join(fmt.Errorf("lifted, the window stands at %d bytes, before the clamp at %d", w, open), err)
	}
	return nil
}

// tryHold clamps the receiver, fixes its buffer and has it stand still until
// that is full: when it reads all at once the buffer must stay as it was.
// tryWindow shows then whether the window opens again.
func (t *Connection) tryHold() error {
	before, err := t.Inspect()
	if err != nil {
		return err
	}
	if err := t.Visit(func(fd int) error { return sockopt.SetAutotuning(fd, false) }); err != nil {
		return err
	}
	clamp := t.Visit(func(fd int) error { return sockopt.SetWindowClamp(fd, before.MinWindow()) })
	full := t.WhenFull(nil, 1<<20)
	after, drained := t.Drained()
	free := t.Visit(func(fd int) error { return sockopt.SetAutotuning(fd, true) })
	if err := errors.Join(clamp, full, drained, free, t.Lift()); err != nil {
		return err
	}
	if after.ReceiveBuffer != before.ReceiveBuffer {
		return fmt.Errorf("held at %d bytes, the receive buffer has %d", before.ReceiveBuffer, after.ReceiveBuffer)
	}
	return nil
}

// Drained waits until the receiver has read all that came.
func (t *Connection) Drained() (sockopt.State, error) {
	for end := time.Now().Add(Timeout); ; time.Sleep(time.Millisecond) {
		c, err := t.Inspect()
		if err != nil || c.Unread == 0 || time.Now().After(end) {
			return c, err
		}
	}
}

func (t *Connection) Visit(f func(fd int) error) error { return sockopt.Visit(t.Handles, t.Socket, f) }

func (t *Connection) Inspect() (c sockopt.State, err error) {
	err = t.Visit(func(fd int) error {
		c, err = sockopt.Inspect(fd)
		return err
	})
	return c, err
}

func (t *Connection) Lift() error {
	return t.Visit(func(fd int) error { return sockopt.SetWindowClamp(fd, sockopt.NoWindowClamp) })
}

func (t *Connection) tryPacing() error {
	return t.Visit(func(fd int) error {
		if err := sockopt.SetPacing(fd, probePacing); err != nil {
			return err
		}
		c, err := sockopt.Inspect(fd)
		if err == nil && c.Pacing != probePacing {
			err = fmt.Errorf("set a pacing of %d bytes/s, the kernel says %d", int64(probePacing), c.Pacing)
		}
		return errors.Join(err, sockopt.SetPacing(fd, sockopt.NoPacing))
	})
}

func (t *Connection) tryPriority() error {
	return t.Visit(func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, probePrio); err != nil {
			return fmt.Errorf("set SO_PRIORITY: %w", err)
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 0)
	})
}

// tryPause stops and continues the child.
func (t *Connection) tryPause() error {
	if err := t.Handles.Signal(t.Proc, unix.SIGSTOP); err != nil {
		return err
	}
	stopped := t.waitStopped(true)
	if err := t.Handles.Signal(t.Proc, unix.SIGCONT); err != nil {
		return err
	}
	return errors.Join(stopped, t.waitStopped(false))
}

func (t *Connection) waitStopped(want bool) error {
	for end := time.Now().Add(Timeout); ; time.Sleep(time.Millisecond) {
		st, err := process.StatOf(t.Proc)
		if err != nil || st.Stopped() == want {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("sent a signal, the state is still %q", st.State)
		}
	}
}

// tryFull sets a clamp while the receiver is full; it must take data again
// once it has read.
func (t *Connection) tryFull() error {
	err := t.WhenFull(func() error {
		return t.Visit(func(fd int) error {
			c, err := sockopt.Inspect(fd)
			return errors.Join(err, sockopt.SetWindowClamp(fd, c.MinWindow()))
		})
	}, 32<<20)
	return errors.Join(err, t.Lift())
}

// WhenFull stops the child until its socket is full, runs f if there is any, and has
// the child read on, and n bytes more.
func (t *Connection) WhenFull(f func() error, n int) error {
	if err := t.Handles.Signal(t.Proc, unix.SIGSTOP); err != nil {
		return err
	}
	err := t.waitStopped(true)
	if err == nil {
		err = t.fill()
	}
	if err == nil && f != nil {
		err = f()
	}
	if err := errors.Join(err, t.Handles.Signal(t.Proc, unix.SIGCONT)); err != nil {
		return err
	}
	_, err = t.Push(n, Timeout)
	return err
}

// fill sends to the stopped child until its socket has no room.
func (t *Connection) fill() error {
	for end := time.Now().Add(Timeout); time.Now().Before(end); {
		if _, err := t.Push(1<<30, 50*time.Millisecond); err == nil {
			return errors.New("a stopped receiver took a gigabyte")
		}
		if c, err := t.Inspect(); err != nil || c.Full() {
			return err
		}
	}
	return errors.New("a stopped receiver did not fill")
}
