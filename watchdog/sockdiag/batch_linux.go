package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// Client asks about many connections at once: two system calls for all, where a duplicate
// of each socket costs four for each. It keeps the memory for requests and answers. It may
// be used by several goroutines. The zero value is not usable; see
// NewClient.
type Client struct {
	mu       sync.Mutex
	sock     int // -1 until it is needed
	seq      uint32
	requests []byte
	info     TCPInfo // of the answer that is read
	answers  [batchSize]buffer
	heads    [batchSize]mmsghdr
}

// buffer has room for one answer, and says where that is.
type buffer struct {
	bytes [answerRoom]byte
	vec   unix.Iovec
}

// mmsghdr is struct mmsghdr (recvmmsg(2)).
type mmsghdr struct {
	head unix.Msghdr
	size uint32
}

const (
	batchSize  = 32   // answers that the receive buffer surely has room for
	answerRoom = 1024 // an answer has some 400 bytes
)

// NewClient makes a client, which opens its socket when it is first used, in the network
// namespace of whichever thread that is.
func NewClient() *Client {
	c := &Client{sock: -1}
	for i := range c.answers {
		a, h := &c.answers[i], &c.heads[i].head
		a.vec.Base = &a.bytes[0]
		a.vec.SetLen(len(a.bytes))
		h.Iov = &a.vec
		h.SetIovlen(1)
	}
	return c
}

// TCPInfo asks about connections and calls each with the index of every one that
// answered, and its struct tcp_info, which is good until each returns. One that has ended, or whose addresses another has
// by now, does not answer.
func (c *Client) TCPInfo(sockets []watchdog.Socket, each func(i int, info *TCPInfo)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.open(); err != nil {
		return fmt.Errorf("sock_diag: %w", err)
	}
	for first := 0; first < len(sockets); first += batchSize {
		batch := sockets[first:min(first+batchSize, len(sockets))]
		err := c.batch(batch, func(i int, info *TCPInfo) { each(first+i, info) })
		if err != nil {
			return fmt.Errorf("sock_diag: %w", err)
		}
	}
	return nil
}

// batch asks about at most batchSize connections. The kernel answers before the request
// returns.
func (c *Client) batch(sockets []watchdog.Socket, each func(i int, info *TCPInfo)) error {
	first := c.seq + 1
	c.seq += uint32(len(sockets))
	c.requests = c.requests[:0]
	for i, s := range sockets {
		c.requests = appendRequest(c.requests, first+uint32(i), s)
	}
	if err := unix.Sendto(c.sock, c.requests, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	for heard := 0; heard < len(sockets); {
		n, err := c.receive()
		if err != nil || n == 0 {
			return err
		}
		for k := range n {
			b := c.answers[k].bytes[:min(c.heads[k].size, answerRoom)]
			i, err := parseReply(b, first, sockets, &c.info)
			if i < 0 {
				continue // to a request of before
			}
			heard++
			if err == nil {
				each(i, &c.info)
			}
		}
	}
	return nil
}

// receive reads the answers that there are, 0 for none.
func (c *Client) receive() (n int, err error) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(c.sock), uintptr(unsafe.Pointer(&c.heads[0])), batchSize,
			unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		case unix.EAGAIN, unix.ENOBUFS: // the rest found no room
			return 0, nil
		default:
			return 0, errno
		}
	}
}

// open makes the socket.
func (c *Client) open() (err error) {
	if c.sock < 0 {
		c.sock, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	}
	return err
}

// Close frees the socket.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sock >= 0 {
		unix.Close(c.sock)
		c.sock = -1
	}
}

// appendRequest appends a netlink message that asks for the struct tcp_info of a
// connection.
func appendRequest(b []byte, seq uint32, s watchdog.Socket) []byte {
	const size = unix.SizeofNlMsghdr + requestSize
	b = append(b, make([]byte, size)...)
	m := b[len(b)-size:]
	binary.NativeEndian.PutUint32(m, size)
	binary.NativeEndian.PutUint16(m[4:], nl.SOCK_DIAG_BY_FAMILY)
	binary.NativeEndian.PutUint16(m[6:], unix.NLM_F_REQUEST)
	binary.NativeEndian.PutUint32(m[8:], seq)
	r := RequestFor(s.Local, s.Remote)
	r.Info = true
	r.put(m[unix.SizeofNlMsghdr:])
	return b
}

// parseReply reads one netlink message into info, and says which of the requests it
// answers, -1 for none. They are numbered from first. The error says why there is no
// struct tcp_info.
func parseReply(b []byte, first uint32, sockets []watchdog.Socket, info *TCPInfo) (i int, err error) {
	if len(b) < unix.SizeofNlMsghdr {
		return -1, ErrFormat
	}
	n := binary.NativeEndian.Uint32(b[8:]) - first
	if n >= uint32(len(sockets)) {
		return -1, ErrFormat
	}
	if kind := binary.NativeEndian.Uint16(b[4:]); kind == unix.NLMSG_ERROR {
		return int(n), parseError(b)
	}
	a, err := ParseAnswer(b[unix.SizeofNlMsghdr:])
	if err != nil {
		return int(n), err
	}
	if a.Inode != sockets[n].Inode {
		return int(n), errOther
	}
	*info, err = a.TCPInfo()
	return int(n), err
}

// errOther says that the addresses belong to another connection by now.
var errOther = errors.New("another socket")

// parseError reads struct nlmsgerr (netlink(7)).
func parseError(b []byte) error {
	if len(b) < unix.SizeofNlMsghdr+4 {
		return fmt.Errorf("error of %d bytes: %w", len(b), ErrFormat)
	}
	return unix.Errno(-int32(binary.NativeEndian.Uint32(b[unix.SizeofNlMsghdr:])))
}
