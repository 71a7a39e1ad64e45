package sockopt

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/sockdiag"
)

// askDiag says whether one of the answers of sock_diag(7) in this thread's network
// namespace is about the socket. One that no process holds any more has no inode.
func askDiag(r sockdiag.Request, flags int, s watchdog.Socket) (bool, error) {
	req := nl.NewNetlinkRequest(nl.SOCK_DIAG_BY_FAMILY, flags)
	req.AddData(r)
	answers, err := req.Execute(unix.NETLINK_SOCK_DIAG, 0)
	if err != nil {
		return false, fmt.Errorf("sock_diag: %w", err)
	}
	for _, b := range answers {
		if a, err := sockdiag.ParseAnswer(b); err == nil && a.Is(s) {
			return true, nil
		}
	}
	return false, nil
}

// surelyEnded asks for the connection between the two addresses, the cheap way, and says
// whether it surely is another by now, or held by nobody.
func surelyEnded(s watchdog.Socket) bool {
	if !s.Local.IsValid() || !s.Remote.IsValid() || s.Local.Addr().Zone() != "" {
		return false
	}
	stands, err := askDiag(sockdiag.RequestFor(s.Local, s.Remote), 0, s)
	return err == nil && !stands
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
		stands, err := askDiag(sockdiag.Request{Family: family, Local: s.Local, Remote: s.Remote}, unix.NLM_F_DUMP, s)
		if stands {
			return true, nil
		}
		if err != nil && !errors.Is(err, unix.ENOENT) { // no such family on this host
			errs = append(errs, err)
		}
	}
	return false, errors.Join(errs...)
}
