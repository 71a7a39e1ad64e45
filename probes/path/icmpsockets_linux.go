package path

import (
	"fmt"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// icmpSockets are the domain and protocol of each family's ICMP (icmp(7)).
var icmpSockets = [...]struct{ domain, protocol int }{
	v4: {unix.AF_INET, unix.IPPROTO_ICMP},
	v6: {unix.AF_INET6, unix.IPPROTO_ICMPV6},
}

func icmpSocket(f family, kind int) (fd int, err error) {
	return unix.Socket(icmpSockets[f].domain, kind|unix.SOCK_CLOEXEC, icmpSockets[f].protocol)
}

func socketError(f family, kind int) error {
	fd, err := icmpSocket(f, kind)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// pingSocketWorks tells whether this process may open a ping socket. Not even
// root may when ping_group_range is empty.
func pingSocketWorks(f family) bool { return socketError(f, unix.SOCK_DGRAM) == nil }

// Capability says whether and how this process can ping, by trying.
func (p *ICMP) Capability() watchdog.Capability {
	c := watchdog.Capability{Name: "icmp"}
	for f := range icmpSockets {
		f := family(f)
		how := "unprivileged (ping socket)"
		if p.raw[f].Load() {
			how = "privileged (raw socket; ping_group_range leaves us out)"
			if err := socketError(f, unix.SOCK_RAW); err != nil {
				c.Why += fmt.Sprintf("%s: no ping socket (ping_group_range) and no raw socket: %v. ", f, err)
				continue
			}
		}
		c.Available = true
		c.Left += fmt.Sprintf("%s: %s. ", f, how)
	}
	if !c.Available {
		c.Left = "delay from the transfers' own TCP"
	}
	return c
}
