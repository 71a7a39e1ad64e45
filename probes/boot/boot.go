package boot

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lifeline/probes/boot/firewall"
	"lifeline/probes/boot/netconf"
	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/rootfs"
	"lifeline/probes/boot/sshd"
	"lifeline/probes/boot/systemd"
)

// Question is what management needs of the machine after the boot.
type Question struct {
	// Link is where management arrives; Addresses are those that it connects to, of one
	// family or both, and Ports the TCP ports.
	Link      string
	Addresses []netip.Addr
	Ports     []uint16
}

// Boot is what the next boot does.
type Boot struct {
	// Target is the unit that the boot aims at.
	Target string
	Plan   *firewall.Plan
	SSHD   *sshd.State
	Net    *netconf.State
	// Remarks are all that was found, the network's first.
	Remarks remark.List
}

// Read tells what the next boot of the tree below a directory does. The error is of a
// tree that cannot be read as one.
func Read(dir string, q Question) (*Boot, error) {
	t, err := rootfs.Open(dir)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	s, err := systemd.Read(t)
	if err != nil {
		return nil, fmt.Errorf("units of %s: %w", dir, err)
	}
	b := &Boot{Target: s.Target}
	b.Net = netconf.Read(t, s, q.Link, q.Addresses)
	b.SSHD = sshd.Read(t, s, b.Net.Presence)
	b.Plan = firewall.Read(t, s, q.Link)
	b.Remarks = slices.Concat(b.Net.Remarks, b.SSHD.Remarks, b.Plan.Remarks)
	b.notListening(q)
	b.Remarks = append(b.Remarks, modules(t, b.Plan)...)
	if s.FirstBoot {
		b.Remarks.Add(remark.Note, "first-boot",
			"the machine id makes the next boot a first one: systemd applies presets, which may enable units", "/etc/machine-id", "uninitialized")
	}
	return b, nil
}

// notListening tells of the ports on which sshd will not listen, where it comes up at all
// and that is known.
func (b *Boot) notListening(q Question) {
	known := !slices.ContainsFunc(b.SSHD.Remarks, func(r remark.Remark) bool { return r.Kind != remark.Note })
	if !known {
		return
	}
	for _, a := range q.Addresses {
		for _, p := range q.Ports {
			if b.SSHD.Serves(a, p) {
				continue
			}
			names := []string{b.SSHD.Unit, fmt.Sprint(p)}
			var at []string
			for _, l := range b.SSHD.Listens {
				at = append(at, l.At.String())
				names = append(names, l.Names...)
			}
			b.Remarks.Add(remark.Cut, "sshd-port", fmt.Sprintf("sshd will not listen on port %d of %s, but on %s", p, a, strings.Join(at, ", ")), names...)
		}
	}
}
