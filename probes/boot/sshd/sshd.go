package sshd

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/rootfs"
	"lifeline/probes/boot/systemd"
)

// Presence is when an address is there.
type Presence int

// When an address may be there.
const (
	Unknown Presence = iota
	Absent           // nothing configures it
	Late             // it may come after sshd has started
	Early            // it is there before sshd starts
)

// Listen is an address and port that sshd listens on, and the file that says so. An
// unspecified address stands for all of its family.
type Listen struct {
	At    netip.AddrPort
	Names []string
}

// State is what the boot makes of sshd.
type State struct {
	// Unit starts it: a service or a socket; "" where nothing does.
	Unit    string
	Listens []Listen
	Remarks remark.List
}

// Serves tells whether sshd listens on a port of an address.
func (s *State) Serves(a netip.Addr, port uint16) bool {
	return slices.ContainsFunc(s.Listens, func(l Listen) bool {
		at := l.At.Addr()
		return l.At.Port() == port && (at == a || at.IsUnspecified() && at.Is4() == a.Is4())
	})
}

// Ports are the ports on which sshd listens at an address.
func (s *State) Ports(a netip.Addr) []uint16 {
	var out []uint16
	for _, l := range s.Listens {
		if p := l.At.Port(); s.Serves(a, p) && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

const mainConfig = "/etc/ssh/sshd_config"

// reader collects a state.
type reader struct {
	tree     *rootfs.Tree
	boot     *systemd.Boot
	presence func(netip.Addr) Presence
	State
}

// Read tells what the boot of a tree makes of sshd. What is known of the addresses of the
// machine is asked of presence.
func Read(t *rootfs.Tree, b *systemd.Boot, presence func(netip.Addr) Presence) *State {
	r := &reader{tree: t, boot: b, presence: presence}
	service, socket := r.service(), r.socket()
	switch {
	case socket != nil:
		r.Unit = socket.Unit.Name
		r.bySocket(*socket, service)
	case service != nil:
		r.Unit = service.Unit.Name
		r.byService(*service)
	default:
		r.disabled()
	}
	r.wrappers()
	if ok, _ := t.Exists("/etc/nologin"); ok {
		r.Remarks.Add(remark.Note, "nologin", "/etc/nologin exists: only root may log in", "/etc/nologin")
	}
	return &r.State
}

// service is the unit that the boot starts sshd by, if any.
func (r *reader) service() *systemd.Job {
	for _, j := range r.boot.Started() {
		if strings.HasSuffix(j.Unit.Name, ".service") && r.program(j.Unit) != nil {
			return &j
		}
	}
	return nil
}

// program is the command by which a unit starts sshd, if it does.
func (r *reader) program(u *systemd.Unit) *systemd.Exec {
	for _, e := range r.boot.Commands(u, "ExecStart") {
		if path.Base(e.Argv[0]) == "sshd" {
			return &e
		}
	}
	return nil
}

// socket is the socket unit that the boot starts sshd by, if any.
func (r *reader) socket() *systemd.Job {
	for _, name := range []string{"ssh.socket", "sshd.socket"} {
		if j := r.boot.Job(name); j.State == systemd.Starts || j.State == systemd.Doubtful {
			return &j
		}
	}
	return nil
}

// disabled tells why nothing starts sshd.
func (r *reader) disabled() {
	for _, name := range []string{"ssh.service", "sshd.service"} {
		j := r.boot.Job(name)
		if !j.Unit.Found() && j.State != systemd.Masked {
			continue
		}
		cause := "sshd-disabled"
		if j.State == systemd.Skipped || j.State == systemd.Fails {
			cause = "sshd-skipped"
			if slices.ContainsFunc(j.Names, func(n string) bool { return strings.Contains(n, "sshd_not_to_be_run") }) {
				cause = "sshd-not-to-be-run"
			}
		}
		names := append([]string{j.Unit.Name}, j.Names...)
		for _, n := range j.Names {
			names = append(names, strings.TrimLeft(n, "!|"))
		}
		r.Remarks.Add(remark.Cut, cause, "sshd does not start: "+j.Why, names...)
		return
	}
	for _, j := range r.boot.Started() {
		if base := strings.TrimSuffix(j.Unit.Name, ".service"); base == "dropbear" || base == "tailscaled" || base == "teleport" {
			r.Remarks.Add(remark.Opaque, "sshd-other", fmt.Sprintf("no unit starts sshd, but %s starts, which may serve logins: that is not understood", j.Unit.Name), j.Unit.Name)
			return
		}
	}
	r.Remarks.Add(remark.Cut, "sshd-disabled", "no unit of the next boot starts sshd")
}
