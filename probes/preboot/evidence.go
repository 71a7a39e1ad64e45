package preboot

import (
	"net/netip"

	"lifeline/probes/iptables"
)

// machine is what this host is asked about itself.
type machine interface {
	// describe tells links, addresses, routes, and what of them is not
	// modelled.
	describe() (description, error)
	// sessions lists the ssh sessions that people have.
	sessions() (evidence, error)
	// sshd tells where sshd listens, an unspecified address standing for all of
	// its family, and how that is known; nothing where nothing is configured.
	sshd() (listens []netip.AddrPort, how string)
	// backend is the one that this host's iptables-restore belongs to.
	backend() (b iptables.Backend, how string)
	// names are the host's name tables.
	names() iptables.Names
}

// description is this machine, as far as the question goes.
type description struct {
	host iptables.Host
	// passing are addresses that may not return after a reboot: temporary
	// IPv6 addresses, link-local ones.
	passing map[netip.Addr]bool
	// caveats are properties that nothing here models, by link, or by link
	// and "/6" where they concern IPv6 only; "" stands for all links.
	caveats map[string][]iptables.Assumption
}

// Names of the caveats that a rehearsal can settle.
const (
	byAdvertisement = "router-advertisement"
	byDHCP          = "dhcpv6"
)

// evidence is what is seen of ssh sessions now.
type evidence struct {
	list  []session
	ports []uint16 // local ones that they use
	// leftOut tells of what looks like a session and is none, or may not be looked at.
	leftOut []string
}

// session is one ssh session of a person: no rsync runs in it.
type session struct {
	Src   netip.Addr `json:"src"`
	Local netip.Addr `json:"local"`
	// User is the user id of who is logged in; empty where that is not known.
	User string `json:"user,omitempty"`
}
