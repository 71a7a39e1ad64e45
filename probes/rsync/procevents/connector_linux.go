package procevents

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Connector is a subscription to the kernel's proc connector: fork, exec and
// exit of every process, as they happen.
//
// It is not ProcEventMonitor of vishvananda/netlink: that one ends for good at
// the first overrun (ENOBUFS), closes its socket beside its reader, does not
// wait for the kernel's answer, and decodes every thread's birth and death.
type Connector struct {
	file *os.File
	raw  syscall.RawConn
	buf  []byte
}

const (
	receiveBuffer     = 4 << 20                // bytes of kernel memory for bursts
	answerTimeout     = 500 * time.Millisecond // to the request to listen
	GatherFor         = 2 * time.Millisecond   // events are gathered that long,
	gatherForWhenBusy = 10 * time.Millisecond  // or that long while there are more than
	busyBatch         = 16                     // these at a time
)

// firstPIDNamespace is PROC_PID_INIT_INO (linux/proc_ns.h).
const firstPIDNamespace = "pid:[4026531836]"

// Open subscribes. The connector lives in the first network
// namespace; when this process is in another one, its socket is made there.
// Its pids are those of the first pid namespace: in another one they would
// mean other processes, or none.
func Open() (*Connector, error) {
	if ns, err := os.Readlink("/proc/self/ns/pid"); err != nil || ns != firstPIDNamespace {
		return nil, fmt.Errorf("proc connector: not in the first pid namespace (%s)", ns)
	}
	sock, err := socketInFirstNetns()
	if err != nil {
		return nil, fmt.Errorf("proc connector: %w", err)
	}
	c := &Connector{file: os.NewFile(uintptr(sock), "proc connector"), buf: make([]byte, 4096)}
	if c.raw, err = c.file.SyscallConn(); err == nil {
		err = c.listen()
	}
	if err != nil {
		c.file.Close()
		return nil, fmt.Errorf("proc connector: %w", err)
	}
	return c, nil
}

// firstNetns are where the first network namespace is found: at init, and at
// kthreadd for when init may not be looked at.
var firstNetns = []string{"/proc/1/ns/net", "/proc/2/ns/net"}

// socketInFirstNetns makes the socket in the first network namespace.
func socketInFirstNetns() (int, error) {
	var failed error
	for _, first := range firstNetns {
		if sameNamespace(first, "/proc/thread-self/ns/net") {
			return openSocket()
		}
		sock := -1
		err := inNetns(first, func() (err error) {
			sock, err = openSocket()
			return err
		})
		if err == nil {
			return sock, nil
		}
		failed = cmp.Or(failed, err)
	}
	return -1, failed
}

// openSocket makes the socket, with its filter in place before the first
// event can arrive.
func openSocket() (int, error) {
	sock, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_CONNECTOR)
	if err != nil {
		return -1, fmt.Errorf("socket: %w", err)
	}
	filter := eventFilter()
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err = errors.Join(
		unix.SetsockoptSockFprog(sock, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &prog),
		unix.Bind(sock, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: netlink.CN_IDX_PROC}),
	)
	if err != nil {
		unix.Close(sock)
		return -1, fmt.Errorf("subscribe: %w", err)
	}
	// Without the privilege, the kernel's default has to do.
	_ = unix.SetsockoptInt(sock, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
	return sock, nil
}

// eventFilter lets through acknowledgements, exec, and fork and exit of
// whole processes; births and deaths of threads stay in the kernel.
func eventFilter() []unix.SockFilter {
	const (
		load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		toX  = unix.BPF_MISC // with BPF_TAX, which is 0
		ifK  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ifX  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_X
		give = unix.BPF_RET | unix.BPF_K
	)
	return []unix.SockFilter{
		0:  {Code: load, K: whatAt},
		1:  {Code: ifK, K: hostWord(None), Jt: 12}, // to 14
		2:  {Code: ifK, K: hostWord(Exec), Jt: 11}, // to 14
		3:  {Code: ifK, K: hostWord(Fork), Jt: 1},  // to 5
		4:  {Code: ifK, K: hostWord(Exit), Jt: 4, Jf: 8},
		5:  {Code: load, K: dataAt + 8}, // child_pid
		6:  {Code: toX},
		7:  {Code: load, K: dataAt + 12}, // child_tgid
		8:  {Code: ifX, Jt: 5, Jf: 4},
		9:  {Code: load, K: dataAt}, // process_pid
		10: {Code: toX},
		11: {Code: load, K: dataAt + 4}, // process_tgid
		12: {Code: ifX, Jt: 1},
		13: {Code: give, K: 0},
		14: {Code: give, K: 0xffffffff},
	}
}

// hostWord is a word of the message as BPF's load, which reads network order,
// sees it.
func hostWord(k Kind) uint32 {
	return binary.BigEndian.Uint32(binary.NativeEndian.AppendUint32(nil, uint32(k)))
}

// ask sends one request to the connector.
func (c *Connector) ask(op uint32) error {
	request := nl.NewNetlinkRequest(unix.NLMSG_DONE, 0)
	request.AddData(nl.NewCnMsg(netlink.CN_IDX_PROC, netlink.CN_VAL_PROC, op))
	var sent error
	err := c.raw.Write(func(sock uintptr) bool {
		sent = unix.Sendto(int(sock), request.Serialize(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		return sent != unix.EAGAIN
	})
	return errors.Join(err, sent)
}

// listen asks for events and waits for the kernel to agree. To a process in
// another user namespace it says nothing at all.
func (c *Connector) listen() error {
	if err := c.ask(netlink.PROC_CN_MCAST_LISTEN); err != nil {
		return fmt.Errorf("subscribe: %w", err)
	}
	if err := c.file.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	for {
		e, err := c.receive(true)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return errors.New("no answer: not in the first user namespace?")
		case err != nil && !errors.Is(err, unix.ENOBUFS):
			return err
		case err == nil && e.Kind == None && e.Err != 0:
			return fmt.Errorf("refused: %w", unix.Errno(e.Err))
		case err == nil:
			return c.file.SetReadDeadline(time.Time{})
		}
	}
}

// mcastIgnore is PROC_CN_MCAST_IGNORE (linux/cn_proc.h), which the netlink
// package lacks. Older kernels make events until every listener has sent it.
const mcastIgnore = 2

// close ends the subscription.
func (c *Connector) close() {
	_ = c.ask(mcastIgnore) // the socket is closed in any case
	c.file.Close()
}

// receive gives the next event. With wait it sleeps until there is one, else
// EAGAIN says that there is none. ENOBUFS says that events were lost.
func (c *Connector) receive(wait bool) (Event, error) {
	for {
		var (
			n    int
			from unix.Sockaddr
			got  error
		)
		if err := c.raw.Read(func(sock uintptr) bool {
			n, from, got = unix.Recvfrom(int(sock), c.buf, 0)
			return got != unix.EAGAIN || !wait
		}); err != nil {
			return Event{}, err
		}
		if got != nil {
			return Event{}, got
		}
		if kernel, ok := from.(*unix.SockaddrNetlink); !ok || kernel.Pid != nl.PidKernel {
			continue // any process may send to a netlink socket
		}
		return parseEvent(c.buf[:n])
	}
}

// Run passes events on in batches until the context ends. lost says that
// events were missed and everything has to be looked at.
func (c *Connector) Run(ctx context.Context, deliver func(batch []Event, lost bool)) error {
	defer c.close()
	stop := context.AfterFunc(ctx, func() { _ = c.file.SetReadDeadline(time.Now()) })
	defer stop()
	var batch []Event
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		batch = batch[:0]
		lost := false
		e, err := c.receive(true)
		for ; err == nil || errors.Is(err, unix.ENOBUFS) || errors.Is(err, errFormat); e, err = c.receive(false) {
			lost = lost || err != nil
			if err == nil && e.PID != 0 {
				batch = append(batch, e)
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("proc connector: receive: %w", err)
		}
		deliver(batch, lost)
		// One wake-up for many events: a host that forks a lot pays little.
		pause.Reset(GatherFor)
		if len(batch) > busyBatch {
			pause.Reset(gatherForWhenBusy)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-pause.C:
		}
	}
}

// sameNamespace compares two namespace links of /proc.
func sameNamespace(a, b string) bool {
	left, errA := os.Readlink(a)
	right, errB := os.Readlink(b)
	return errA == nil && errB == nil && left == right
}

// inNetns calls f in another network namespace. A thread that cannot be
// brought back ends with its goroutine.
func inNetns(path string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- func() error {
			home, err := os.Open("/proc/thread-self/ns/net")
			if err != nil {
				return err
			}
			defer home.Close()
			there, err := os.Open(path)
			if err != nil {
				return err
			}
			defer there.Close()
			if err := unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter %s: %w", path, err)
			}
			err = f()
			if back := unix.Setns(int(home.Fd()), unix.CLONE_NEWNET); back != nil {
				return errors.Join(err, back)
			}
			runtime.UnlockOSThread()
			return err
		}()
	}()
	return <-result
}
