package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// The kernels that Lifeline's tests meet often lack netem, so a base delay is
// made here: the cable between the bridges becomes two TAP devices, and a
// relay carries each frame from one to the other half a round trip later.

// relayDepth bounds the frames on their way in one direction; it holds 800 ms
// of full frames at 1 Gbit/s. Beyond it the TAP's own queue fills and drops.
const relayDepth = 1 << 16

// tapQueue is the TAPs' queue length in frames, enough for the relay to be
// descheduled for 60 ms at 1 Gbit/s.
const tapQueue = 5000

// cableWithDelay joins two new links of the switch by a relay with the given
// delay in each direction.
func (l *Lab) cableWithDelay(a, b string, delay time.Duration) error {
	tapA, err := l.Sw.newTAP(a)
	if err != nil {
		return err
	}
	tapB, err := l.Sw.newTAP(b)
	if err != nil {
		return errors.Join(err, tapA.Close())
	}
	l.spawn(func(ctx context.Context) {
		<-ctx.Done()
		tapA.Close() // ends both relays
		tapB.Close()
	})
	l.relay(tapA, tapB, delay)
	l.relay(tapB, tapA, delay)
	for _, name := range []string{a, b} {
		if err := l.Sw.up(name); err != nil {
			return err
		}
	}
	return nil
}

// newTAP makes a TAP device that lives as long as its file (tuntap.rst in the
// kernel's documentation).
func (h *Host) newTAP(name string) (tap *os.File, err error) {
	err = h.Do(func() error {
		tap, err = openTAP(name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab: TAP %s: %w", name, err)
	}
	link, err := h.link(name)
	if err == nil {
		err = h.nl.LinkSetTxQLen(link, tapQueue)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lab: TAP %s: %w", name, err), tap.Close())
	}
	return tap, nil
}

// openTAP makes the device in the calling thread's network namespace.
func openTAP(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	req, err := unix.NewIfreq(name)
	if err == nil {
		req.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, req)
	}
	if err == nil {
		// As between veths: checksums and segmentation are left undone, and
		// the header in front of each frame (struct virtio_net_hdr) says so.
		const offloads = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6 | unix.TUN_F_TSO_ECN
		err = unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, offloads)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil // pollable: it is non-blocking
}

// frame is one Ethernet frame, with its virtio_net_hdr, and the moment to
// deliver it.
type frame struct {
	due  time.Time
	data []byte
}

// maxFrame holds a segmentable packet of 64 KiB and all headers.
const maxFrame = 1<<16 + 256

// relay carries frames in one direction until the files are closed.
func (l *Lab) relay(from, to *os.File, delay time.Duration) {
	queue := make(chan frame, relayDepth)
	l.spawn(func(context.Context) {
		defer close(queue)
		buf := make([]byte, maxFrame)
		for {
			n, err := from.Read(buf)
			if errors.Is(err, os.ErrClosed) {
				return
			}
			if err == nil {
				queue <- frame{time.Now().Add(delay), append([]byte(nil), buf[:n]...)}
			}
		}
	})
	l.spawn(func(context.Context) {
		for f := range queue {
			sleepUntil(f.due)
			// A frame that the device refuses (it is down) is lost, as on a
			// real cable.
			_, _ = to.Write(f.data)
		}
	})
}

// nap is the shortest sleep of a relay: frames that are due within one go out
// together, up to this much late. It keeps the relay's own load down.
const nap = 300 * time.Microsecond

// sleepUntil blocks the thread: the runtime's own timers are as coarse as a
// millisecond.
func sleepUntil(due time.Time) {
	for wait := time.Until(due); wait > 0; wait = time.Until(due) {
		ts := unix.NsecToTimespec(int64(max(wait, nap)))
		_ = unix.Nanosleep(&ts, nil) // interrupted: the loop sleeps the rest
	}
}
