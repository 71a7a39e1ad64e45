package shaper

import (
	"cmp"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// Options are what an HTB needs to know of the host.
type Options struct {
	// SSHPorts gives the ports by which people get in over ssh, when a shaper is
	// put up; none, or nil, is 22.
	SSHPorts func() []uint16
	PerHour  int  // times that one may be put up on a link and direction; 0 is 120
	Untried  bool // do not try what the kernel can: that may load modules. Only Can is of use then
}

// New makes a shaper for the links of the calling thread's network
// namespace. It tries in a scratch namespace what the kernel can do, and says
// so; where it can do nothing the HTB refuses everything.
func New(l *ledger.Ledger, o Options) (*HTB, []watchdog.Capability, error) {
	t, err := openTC()
	if err != nil {
		return nil, nil, err
	}
	prio := &priorities{ledger: l, members: map[watchdog.TransferID]watchdog.Socket{}}
	s := newHTB(l, [2]hook{
		watchdog.Rx: ingress{t},
		watchdog.Tx: egress{t, prio, o.SSHPorts},
	}, time.Now, netlink.Hz())
	s.retry = prio.retryRestore
	s.perHour = cmp.Or(o.PerHour, DefaultPerHour)
	if o.Untried {
		return s, nil, nil
	}
	caps := Probe()
	for _, c := range caps {
		if !c.Available {
			s.lacks[capabilityDirection[c.Name]] = fmt.Errorf("the kernel cannot: %s", c.Why)
		}
	}
	return s, caps, nil
}

// Remove removes the shaper of a ledger entry with nothing but that
// entry; it fits Undoer.RemoveTC. It belongs in the network namespace of the
// daemon that built it. What is gone, or was replaced by somebody, is removed;
// what others hung onto it stays, without a limit, and is named in the error.
func Remove(e ledger.Entry) error {
	if e.Kind != ledger.Qdisc {
		return fmt.Errorf("%s: not a shaper", e)
	}
	t, err := openTC()
	if err != nil {
		return err
	}
	defer t.close()
	var hook hook
	switch e.TC.Kind {
	case "htb":
		hook = egress{t: t}
	case "ingress":
		hook = ingress{t}
	default:
		return fmt.Errorf("%s: not a shaper", e)
	}
	if err := hook.remove(e.TC.Link, e.Set != builtMark); err != nil {
		return fmt.Errorf("%s: %w", e, err)
	}
	return nil
}
