package remediate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

const (
	trialTime   = 2 * time.Second // for each behaviour that is waited for
	openWindow  = 1 << 20         // bytes: a window that does not throttle
	probePrio   = 0x4c460002      // of the shaper's kind: major "LF", low bits 2
	probePacing = 5 << 30         // bytes/s: more than 32 bits hold
)

// Trials is what was found out about this kernel and this process's rights.
type Trials struct {
	Capabilities []watchdog.Capability
	// FullClamp says that a clamp on a full receiver does no harm (kernels
	// before 6.7 without "tcp: fix mid stream window clamp" never open the
	// window again).
	FullClamp bool
	// HoldBuffer says that the receive buffer of a clamped socket can be kept as
	// it is, and given back (SO_BUF_LOCK, Linux 5.14).
	HoldBuffer bool
}

// Try tries each mechanism on a loopback connection to a child of ours, whose
// program argv runs RunTrialChild. It takes some tenths of a second, and some
// seconds where a mechanism fails.
func Try(ctx context.Context, argv []string) Trials {
	c := readConfinement()
	t, err := startTrial(ctx, argv)
	if err != nil {
		return Trials{Capabilities: []watchdog.Capability{
			c.capability(remedyWindow, err), c.capability(remedyHold, err), c.capability(remedyPacing, err),
			c.capability(remedyPriority, err), c.capability(remedyPause, err)}}
	}
	defer t.close()
	pause := t.tryPause()
	hold := t.tryHold() // before the buffer has grown
	window := t.tryWindow()
	return Trials{
		Capabilities: []watchdog.Capability{
			c.capability(remedyWindow, window),
			c.capability(remedyHold, hold),
			c.capability(remedyPacing, t.tryPacing()),
			c.capability(remedyPriority, t.tryPriority()),
			c.capability(remedyPause, pause),
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
		err := VisitSocket(t.Socket, func(fd int) error { return nil })
		if errors.Is(err, ErrGone) {
			continue
		}
		if err != nil {
			c, err := readConfinement(), fmt.Errorf("socket of a running rsync: %w", err)
			for _, name := range []string{remedyWindow, remedyPacing, remedyPriority} {
				lacking = append(lacking, c.capability(name, err))
			}
		}
		return lacking, true
	}
	return nil, false
}

// tryWindow clamps the connection in mid-stream: data must still flow, the
// offered window must shrink, and a lift must open it again.
func (t *trial) tryWindow() error {
	open, err := t.flow(trialTime, func(w int64) bool { return w >= openWindow })
	if err != nil {
		return err
	}
	var floor int64
	clamp := func() error {
		return t.visit(func(fd int) error {
			c, err := inspect(fd)
			floor = c.floor()
			return errors.Join(err, setWindow(fd, floor))
		})
	}
	if err := clamp(); err != nil {
		return err
	}
	// Autotuning raises the clamp again, so it is set with every look, as in use.
	shrunk := func(w int64) bool { return w <= 2*floor || clamp() != nil }
	if w, err := t.flow(trialTime, shrunk); err != nil || w > 2*floor {
		return errors.Join(fmt.Errorf("clamped to %d bytes, the window stands at %d", floor, w), err, t.lift())
	}
	if err := t.lift(); err != nil {
		return err
	}
	want := min(open, openWindow)
	if w, err := t.flow(trialTime, func(w int64) bool { return w >= want }); err != nil || w < want {
		return errors.Join(fmt.Errorf("lifted, the window stands at %d bytes, before the clamp at %d", w, open), err)
	}
	return nil
}

// tryHold clamps the receiver, fixes its buffer and has it stand still until
// that is full: when it reads all at once the buffer must stay as it was.
// tryWindow shows then whether the window opens again.
func (t *trial) tryHold() error {
	before, err := t.inspect()
	if err != nil {
		return err
	}
	if err := t.visit(func(fd int) error { return setAutotune(fd, false) }); err != nil {
		return err
	}
	clamp := t.visit(func(fd int) error { return setWindow(fd, before.floor()) })
	full := t.whenFull(nil, 1<<20)
	after, drained := t.drained()
	free := t.visit(func(fd int) error { return setAutotune(fd, true) })
	if err := errors.Join(clamp, full, drained, free, t.lift()); err != nil {
		return err
	}
	if after.buffer != before.buffer {
		return fmt.Errorf("held at %d bytes, the receive buffer has %d", before.buffer, after.buffer)
	}
	return nil
}

// drained waits until the receiver has read all that came.
func (t *trial) drained() (connection, error) {
	for end := time.Now().Add(trialTime); ; time.Sleep(time.Millisecond) {
		c, err := t.inspect()
		if err != nil || c.unread == 0 || time.Now().After(end) {
			return c, err
		}
	}
}

func (t *trial) visit(f func(fd int) error) error { return t.handles.Visit(t.socket, f) }

func (t *trial) inspect() (c connection, err error) {
	err = t.visit(func(fd int) error {
		c, err = inspect(fd)
		return err
	})
	return c, err
}

func (t *trial) lift() error {
	return t.visit(func(fd int) error { return setWindow(fd, liftedWindow) })
}

func (t *trial) tryPacing() error {
	return t.visit(func(fd int) error {
		if err := setPacing(fd, probePacing); err != nil {
			return err
		}
		c, err := inspect(fd)
		if err == nil && c.pacing != probePacing {
			err = fmt.Errorf("set a pacing of %d bytes/s, the kernel says %d", int64(probePacing), c.pacing)
		}
		return errors.Join(err, setPacing(fd, liftedPacing))
	})
}

func (t *trial) tryPriority() error {
	return t.visit(func(fd int) error {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, probePrio); err != nil {
			return fmt.Errorf("set SO_PRIORITY: %w", err)
		}
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 0)
	})
}

// tryPause stops and continues the child.
func (t *trial) tryPause() error {
	if err := t.handles.signal(t.proc, unix.SIGSTOP); err != nil {
		return err
	}
	stopped := t.waitStopped(true)
	if err := t.handles.signal(t.proc, unix.SIGCONT); err != nil {
		return err
	}
	return errors.Join(stopped, t.waitStopped(false))
}

func (t *trial) waitStopped(want bool) error {
	for end := time.Now().Add(trialTime); ; time.Sleep(time.Millisecond) {
		st, err := statOf(t.proc)
		if err != nil || st.stopped() == want {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("sent a signal, the state is still %q", st.state)
		}
	}
}

// tryFull sets a clamp while the receiver is full; it must take data again
// once it has read.
func (t *trial) tryFull() error {
	err := t.whenFull(func() error {
		return t.visit(func(fd int) error {
			c, err := inspect(fd)
			return errors.Join(err, setWindow(fd, c.floor()))
		})
	}, 32<<20)
	return errors.Join(err, t.lift())
}

// whenFull stops the child until its socket is full, runs f if there is any, and has
// the child read on, and n bytes more.
func (t *trial) whenFull(f func() error, n int) error {
	if err := t.handles.signal(t.proc, unix.SIGSTOP); err != nil {
		return err
	}
	err := t.waitStopped(true)
	if err == nil {
		err = t.fill()
	}
	if err == nil && f != nil {
		err = f()
	}
	if err := errors.Join(err, t.handles.signal(t.proc, unix.SIGCONT)); err != nil {
		return err
	}
	_, err = t.push(n, trialTime)
	return err
}

// fill sends to the stopped child until its socket has no room.
func (t *trial) fill() error {
	for end := time.Now().Add(trialTime); time.Now().Before(end); {
		if _, err := t.push(1<<30, 50*time.Millisecond); err == nil {
			return errors.New("a stopped receiver took a gigabyte")
		}
		if c, err := t.inspect(); err != nil || c.full() {
			return err
		}
	}
	return errors.New("a stopped receiver did not fill")
}
