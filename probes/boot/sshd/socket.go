package sshd

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/systemd"
)

// bySocket finds where a socket unit listens: what it says counts, and not the ports of
// the configuration. A service that the boot starts too is handed the socket and listens
// on nothing else.
func (r *reader) bySocket(socket systemd.Job, service *systemd.Job) {
	u := socket.Unit
	if socket.State == systemd.Doubtful {
		r.Remarks.Add(remark.Opaque, "sshd-doubtful", "whether the socket of sshd starts is not known: "+socket.Why, append(socket.Names, u.Name)...)
	}
	started := r.activates(u)
	if started == nil {
		r.Remarks.Add(remark.Opaque, "ssh-socket-service", fmt.Sprintf("%s starts no unit that is known", u.Name), u.Name)
		return
	}
	o := r.commandLine(r.program(started))
	c := r.config(o, started)
	if c == nil || !r.hasHostKey(c, started) {
		return
	}
	if r.generated(u, c, o) {
		return
	}
	if service != nil {
		r.Remarks.Add(remark.Note, "ssh-socket-port",
			fmt.Sprintf("%s and %s both start: sshd is handed the socket and listens on nothing else", u.Name, service.Unit.Name), u.Name, service.Unit.Name)
	}
	for _, s := range u.All("Socket", "ListenStream") {
		r.stream(u, s)
	}
	if lost := r.boot.Job("ssh.service"); lost.State == systemd.Dropped {
		r.Remarks.Add(remark.Note, "ssh-socket-port", lost.Why, lost.Names...)
	}
}

// activates is the unit that a connection to the socket starts.
func (r *reader) activates(u *systemd.Unit) *systemd.Unit {
	base := strings.TrimSuffix(u.Name, ".socket")
	candidates := []string{base + ".service"}
	if u.Bool("Socket", "Accept", false) {
		candidates = []string{base + "@1.service"}
	}
	if s, ok := u.Get("Socket", "Service"); ok {
		candidates = []string{s.Value}
	}
	if base == "ssh" && !u.Bool("Socket", "Accept", false) {
		candidates = append(candidates, "sshd.service")
	}
	for _, name := range candidates {
		if j := r.boot.Job(name); j.Unit.Found() {
			return j.Unit
		}
	}
	if u.Bool("Socket", "Accept", false) {
		// the template's program is the one of the service, and takes its configuration
		if j := r.boot.Job(base + ".service"); j.Unit.Found() {
			return j.Unit
		}
	}
	return nil
}

// stream takes one ListenStream=: a port, or an address with one (systemd.socket(5)).
func (r *reader) stream(u *systemd.Unit, s systemd.Setting) {
	names := []string{s.File, s.Key + "=" + s.Value, s.Value, u.Name}
	if port, err := strconv.ParseUint(s.Value, 10, 16); err == nil {
		families := []netip.Addr{netip.IPv6Unspecified(), netip.IPv4Unspecified()}
		if b, ok := u.Get("Socket", "BindIPv6Only"); ok && b.Value == "ipv6-only" {
			families = families[:1]
		}
		for _, a := range families {
			r.Listens = append(r.Listens, Listen{netip.AddrPortFrom(a, uint16(port)), names})
		}
		return
	}
	at, err := netip.ParseAddrPort(s.Value)
	if err != nil {
		return // a socket of another family
	}
	if a := at.Addr(); !a.IsUnspecified() && !u.Bool("Socket", "FreeBind", false) && r.presence(a) != Early {
		r.Remarks.Add(remark.Cut, "ssh-socket-address",
			fmt.Sprintf("%s line %d: %s listens before the network is up, and %s is not there then (FreeBind=yes would do)", s.File, s.Line, u.Name, a), names...)
		return
	}
	r.Listens = append(r.Listens, Listen{at, names})
}

// generators are the paths of Ubuntu's generator, which makes the streams of ssh.socket
// of the configuration at each boot.
var generators = []string{"/usr/lib/systemd/system-generators/sshd-socket-generator", "/lib/systemd/system-generators/sshd-socket-generator"}

// generated takes the streams that the generator makes, unless a drop-in of the same name
// hides them. Its drop-in has FreeBind=yes.
func (r *reader) generated(u *systemd.Unit, c *config, o options) bool {
	if !slices.ContainsFunc(generators, func(g string) bool { ok, _ := r.tree.Exists(g); return ok }) {
		return false
	}
	hidden := slices.ContainsFunc(u.DropIns, func(f string) bool { return path.Base(f) == "addresses.conf" })
	if hidden || len(c.ports) == 0 && len(c.listen) == 0 {
		return false
	}
	r.Remarks.Add(remark.Note, "ssh-socket-generator", "sshd-socket-generator makes the streams of "+u.Name+" of sshd's configuration",
		"sshd-socket-generator", u.Name)
	presence := r.presence
	r.presence = func(netip.Addr) Presence { return Early }
	r.listen(c, o, u)
	r.presence = presence
	return true
}
