package sockdiag

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/rtattr"
)

// Sizes and places of linux/inet_diag.h.
const (
	requestSize = 56 // struct inet_diag_req_v2
	answerSize  = 72 // struct inet_diag_msg
	cookieAt    = 44
	inodeAt     = 68
	infoAttr    = 2          // INET_DIAG_INFO
	anyCookie   = 0xffffffff // INET_DIAG_NOCOOKIE
	allStates   = 0xffffffff
)

// ErrFormat marks an answer that is not what linux/inet_diag.h promises.
var ErrFormat = errors.New("unexpected format of an answer of sock_diag")

// Request is struct inet_diag_req_v2 for TCP sockets in any state: for the connection
// between two addresses, or, in a dump (NLM_F_DUMP), for all with the same two ports; with
// invalid addresses for all. It is a payload of netlink requests (nl.NetlinkRequestData).
type Request struct {
	Family        uint8 // unix.AF_INET or unix.AF_INET6
	Local, Remote netip.AddrPort
	Info          bool // struct tcp_info is asked for
}

// RequestFor asks for a connection by its addresses.
func RequestFor(local, remote netip.AddrPort) Request {
	r := Request{Family: unix.AF_INET6, Local: local, Remote: remote}
	if local.Addr().Is4() {
		r.Family = unix.AF_INET
	}
	return r
}

// Len is the size of the payload in bytes.
func (Request) Len() int { return requestSize }

// Serialize gives the payload.
func (r Request) Serialize() []byte {
	b := make([]byte, requestSize)
	r.put(b)
	return b
}

// put writes the payload into b, which is cleared and has requestSize bytes.
func (r Request) put(b []byte) {
	b[0], b[1] = r.Family, unix.IPPROTO_TCP
	if r.Info {
		b[2] = 1 << (infoAttr - 1)
	}
	binary.NativeEndian.PutUint32(b[4:], allStates)
	if r.Local.IsValid() && r.Remote.IsValid() {
		binary.BigEndian.PutUint16(b[8:], r.Local.Port())
		binary.BigEndian.PutUint16(b[10:], r.Remote.Port())
		copy(b[12:28], r.Local.Addr().AsSlice())
		copy(b[28:44], r.Remote.Addr().AsSlice())
	}
	binary.NativeEndian.PutUint32(b[48:], anyCookie)
	binary.NativeEndian.PutUint32(b[52:], anyCookie)
}

// Answer is struct inet_diag_msg, what is used of it.
type Answer struct {
	Inode  uint64 // 0 of a socket that no process holds any more
	Cookie uint64 // as SO_COOKIE has it
	attrs  []byte
}

// ParseAnswer reads the payload of an answer. The error wraps ErrFormat.
func ParseAnswer(b []byte) (Answer, error) {
	if len(b) < answerSize {
		return Answer{}, fmt.Errorf("%d bytes: %w", len(b), ErrFormat)
	}
	return Answer{
		Inode:  uint64(binary.NativeEndian.Uint32(b[inodeAt:])),
		Cookie: binary.NativeEndian.Uint64(b[cookieAt:]),
		attrs:  b[answerSize:],
	}, nil
}

// Is says whether the answer is about that socket: its addresses may be another's by now.
// A cookie counts where it is known.
func (a Answer) Is(s watchdog.Socket) bool {
	return a.Inode == s.Inode && (s.Cookie == 0 || a.Cookie == s.Cookie)
}

// TCPInfo reads the attribute that was asked for by Request.Info. The error wraps
// ErrFormat.
func (a Answer) TCPInfo() (TCPInfo, error) {
	b, err := rtattr.Find(a.attrs, infoAttr)
	if err != nil || b == nil {
		return TCPInfo{}, fmt.Errorf("no tcp_info: %w", ErrFormat)
	}
	return parseTCPInfo(b), nil
}
