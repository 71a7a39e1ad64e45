package netconf

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/rootfs"
	"lifeline/probes/boot/sshd"
	"lifeline/probes/boot/systemd"
)

// Profile is how one manager configures the link.
type Profile struct {
	// Manager is the program, and File the file that names the link.
	Manager, File string
	// Addresses are those that the file gives; Dynamic tells that others come from
	// elsewhere (DHCP, router advertisements).
	Addresses []netip.Prefix
	Dynamic   bool
	// Gateway tells that it gives a default route, or takes one from elsewhere.
	Gateway bool
	// Early tells that addresses are there before network.target is reached.
	Early bool
	Names []string
}

// State is what is known of the link's configuration.
type State struct {
	Profiles []Profile
	Remarks  remark.List
}

// Presence is when an address of the link is there.
func (s *State) Presence(a netip.Addr) sshd.Presence {
	out := sshd.Absent
	for _, p := range s.Profiles {
		at := sshd.Absent
		switch {
		case p.has(a) && p.Early:
			at = sshd.Early
		case p.has(a):
			at = sshd.Late
		case p.Dynamic:
			at = sshd.Unknown
		}
		if at == sshd.Early || out == sshd.Absent || at == sshd.Late && out == sshd.Unknown {
			out = at
		}
	}
	return out
}

func (p Profile) has(a netip.Addr) bool {
	return slices.ContainsFunc(p.Addresses, func(x netip.Prefix) bool { return x.Addr() == a })
}

// reader collects a state.
type reader struct {
	tree *rootfs.Tree
	boot *systemd.Boot
	link string
	State
	// ignored are files that name the link and that nobody reads or brings up.
	ignored remark.List
}

// Read tells who configures a link at the next boot. The addresses are those that
// management uses; none asks for nothing but the link.
func Read(t *rootfs.Tree, b *systemd.Boot, link string, addresses []netip.Addr) *State {
	r := &reader{tree: t, boot: b, link: link}
	r.ifupdown()
	r.networkd()
	r.netplan()
	r.networkManager()
	r.byHand(addresses)
	switch {
	case len(r.Profiles) > 0:
		r.missing(addresses)
	case len(r.ignored) > 0:
		r.Remarks = append(r.Remarks, r.ignored...)
	default:
		r.nobody(addresses)
	}
	r.renamed()
	r.mounts()
	return &r.State
}

// missing tells of addresses that no profile gives.
func (r *reader) missing(addresses []netip.Addr) {
	for _, a := range addresses {
		p := r.Profiles[0]
		switch r.Presence(a) {
		case sshd.Absent:
			r.Remarks.Add(remark.Cut, "netconf-missing",
				fmt.Sprintf("%s will not have %s: %s gives it %v", r.link, a, p.File, p.Addresses), r.link, a.String(), p.File)
		case sshd.Unknown:
			r.Remarks.Add(remark.Note, "netconf-dynamic", fmt.Sprintf("%s takes its address from elsewhere (%s): that it is %s again is not checked", r.link, p.File, a), p.File)
		}
	}
}

// nobody tells that nothing configures the link. Where something may do so that is not
// read here, that is not known.
func (r *reader) nobody(addresses []netip.Addr) {
	for _, name := range []string{"cloud-init.service", "cloud-init-main.service", "connman.service", "wicked.service", "dhcpcd.service", "network.service"} {
		if r.boot.Starts(name) {
			r.Remarks.Add(remark.Opaque, "netconf-not-understood", fmt.Sprintf("%s may configure %s: its configuration is not read here", name, r.link), name, r.link)
			return
		}
	}
	names := []string{r.link}
	for _, a := range addresses {
		names = append(names, a.String())
	}
	files := r.looked()
	r.Remarks.Add(remark.Cut, "netconf-missing",
		fmt.Sprintf("nothing configures %s at the next boot: %s does not name it", r.link, strings.Join(files, ", ")), append(names, files...)...)
}

// looked are the files and directories in which a configuration was looked for.
func (r *reader) looked() []string {
	var out []string
	for _, f := range []string{"/etc/network/interfaces", "/etc/systemd/network", "/etc/netplan", "/etc/NetworkManager/system-connections", "/etc/sysconfig/network-scripts"} {
		if ok, _ := r.tree.Exists(f); ok {
			out = append(out, f)
		}
	}
	if len(out) == 0 {
		out = []string{"/etc/network/interfaces"}
	}
	return out
}

// byHand looks for a unit of the administrator's that gives the link one of the addresses.
func (r *reader) byHand(addresses []netip.Addr) {
	for _, j := range r.boot.Started() {
		if !strings.HasPrefix(j.Unit.File, "/etc/systemd/system/") {
			continue
		}
		for _, e := range r.boot.Commands(j.Unit, "ExecStart") {
			text := strings.Join(e.Argv, " ")
			for _, a := range addresses {
				if strings.Contains(text, a.String()+"/") && strings.Contains(text, r.link) {
					r.Profiles = append(r.Profiles, Profile{Manager: j.Unit.Name, File: j.Unit.File,
						Addresses: []netip.Prefix{netip.PrefixFrom(a, a.BitLen())}, Gateway: true, Names: []string{j.Unit.Name, j.Unit.File}})
				}
			}
		}
	}
}

// prefixes reads addresses with or without a length.
func prefixes(words ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, w := range words {
		if p, err := netip.ParsePrefix(w); err == nil {
			out = append(out, p)
		} else if a, err := netip.ParseAddr(w); err == nil {
			out = append(out, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return out
}
