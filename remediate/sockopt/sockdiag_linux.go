package sockopt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// Sizes and places of linux/inet_diag.h.
const (
	diagAnswerSize = 72 // struct inet_diag_msg
	diagCookieAt   = 44
	diagInodeAt    = 68
	diagAnyCookie  = 0xffffffff // INET_DIAG_NOCOOKIE
	diagAllStates  = 0xffffffff
)

// diagQuestion is struct inet_diag_req_v2 for a TCP socket.
type diagQuestion struct {
	family        uint8
	local, remote netip.AddrPort // only the ports count in a dump; none for all
}

func (diagQuestion) Len() int { return 56 }

func (q diagQuestion) Serialize() []byte {
	b := make([]byte, q.Len())
	b[0], b[1] = q.family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(b[4:], diagAllStates)
	if q.local.IsValid() && q.remote.IsValid() {
		binary.BigEndian.PutUint16(b[8:], q.local.Port())
		binary.BigEndian.PutUint16(b[10:], q.remote.Port())
		copy(b[12:28], q.local.Addr().AsSlice())
		copy(b[28:44], q.remote.Addr().AsSlice())
	}
	binary.NativeEndian.PutUint32(b[48:], diagAnyCookie)
	binary.NativeEndian.PutUint32(b[52:], diagAnyCookie)
	return b
}

// ask gives the answers of sock_diag(7) in this thread's network namespace.
func (q diagQuestion) ask(flags int) ([][]byte, error) {
	r := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, flags)
	r.AddData(q)
	answers, err := r.Execute(unix.NETLINK_SOCK_DIAG, 0)
	if err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	return answers, nil
}

// answersFor says whether one of the answers is about the socket. One that no
// process holds any more has no inode.
func answersFor(answers [][]byte, s watchdog.Socket) bool {
	for _, b := range answers {
		if len(b) < diagAnswerSize || uint64(binary.NativeEndian.Uint32(b[diagInodeAt:])) != s.Inode {
			continue
		}
		if s.Cookie == 0 || binary.NativeEndian.Uint64(b[diagCookieAt:]) == s.Cookie {
			return true
		}
	}
	return false
}

// diagFamily is the family under which a connection is asked for by its addresses.
func diagFamily(a netip.Addr) uint8 {
	if a.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}

// surelyEnded asks for the connection between the two addresses, the cheap way, and says
// whether it surely is another by now, or held by nobody.
func surelyEnded(s watchdog.Socket) bool {
	if !s.Local.IsValid() || !s.Remote.IsValid() || s.Local.Addr().Zone() != "" {
		return false
	}
	answers, err := diagQuestion{diagFamily(s.Local.Addr()), s.Local, s.Remote}.ask(0)
	return err == nil && !answersFor(answers, s)
}

// Exists says whether a process, or a message, still holds a TCP socket of this
// thread's network namespace. Its addresses alone may not lead to it, as when it is
// bound to a link: so all of its ports are looked at.
func Exists(s watchdog.Socket) (bool, error) {
	if surelyEnded(s) {
		return false, nil
	}
	var errs []error
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		answers, err := diagQuestion{family, s.Local, s.Remote}.ask(unix.NLM_F_DUMP)
		if answersFor(answers, s) {
			return true, nil
		}
		if err != nil && !errors.Is(err, unix.ENOENT) { // no such family on this host
			errs = append(errs, err)
		}
	}
	return false, errors.Join(errs...)
}
