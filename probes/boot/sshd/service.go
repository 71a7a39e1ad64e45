package sshd

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/rootfs"
	"lifeline/probes/boot/systemd"
)

// options are what the command line of sshd says.
type options struct {
	config string
	ports  []string
	lines  []line
	names  []string
}

// commandLine reads the options of sshd(8).
func (r *reader) commandLine(e *systemd.Exec) options {
	o := options{config: mainConfig}
	if e == nil {
		return o
	}
	o.names = []string{e.At.File}
	if !e.Known {
		r.Remarks.Add(remark.Opaque, "sshd-options", fmt.Sprintf("%s line %d: the options of sshd are not known", e.At.File, e.At.Line), e.At.File)
	}
	args := e.Argv[1:]
	for i := 0; i < len(args); i++ {
		a := args[i]
		if len(a) < 2 || a[0] != '-' {
			continue
		}
		value := a[2:]
		if strings.IndexByte("fpohbckCEgu", a[1]) < 0 {
			continue
		}
		if value == "" && i+1 < len(args) {
			i++
			value = args[i]
		}
		switch a[1] {
		case 'f':
			o.config = value
		case 'p':
			o.ports = append(o.ports, value)
		case 'o':
			if l, ok := split(value); ok {
				l.file = e.At.File
				o.lines = append(o.lines, l)
			}
		case 'h':
			o.lines = append(o.lines, line{key: "hostkey", args: []string{value}, file: e.At.File})
		}
	}
	return o
}

// byService finds where a service listens.
func (r *reader) byService(j systemd.Job) {
	if j.State == systemd.Doubtful {
		r.Remarks.Add(remark.Opaque, "sshd-doubtful", "whether sshd starts is not known: "+j.Why, append(j.Names, j.Unit.Name)...)
	}
	exec := r.program(j.Unit)
	o := r.commandLine(exec)
	c := r.config(o, j.Unit)
	if c == nil || !r.hasHostKey(c, j.Unit) {
		return
	}
	r.listen(c, o, j.Unit)
}

// config reads the configuration; none where sshd refuses it.
func (r *reader) config(o options, u *systemd.Unit) *config {
	if ok, err := r.tree.Exists(o.config); err == nil && !ok {
		r.Remarks.Add(remark.Cut, "sshd-config-missing", fmt.Sprintf("sshd does not start: %s is missing", o.config), o.config, u.Name)
		return nil
	}
	c := readConfig(r.tree, o)
	switch {
	case c.unread != nil:
		r.Remarks.Add(remark.Opaque, "sshd-config-unread", c.unread.Error(), o.config)
	case c.bad != nil:
		r.Remarks.Add(remark.Cut, "sshd-config-error",
			fmt.Sprintf("sshd refuses its configuration and does not start: %s, %q: %s", c.bad.at(), c.bad.text(), c.reason),
			c.bad.file, c.bad.text(), u.Name)
		return nil
	}
	return c
}

// readConfig reads the options of the command line before the file.
func readConfig(t *rootfs.Tree, o options) *config {
	c := &config{}
	for _, l := range o.lines {
		c.line(l, false)
	}
	c.file(t, o.config, 0, false)
	return c
}

// listen finds the addresses of a service and whether they can be bound.
func (r *reader) listen(c *config, o options, u *systemd.Unit) {
	ports := c.ports
	if len(o.ports) > 0 {
		ports = nil
		for _, p := range o.ports {
			ports = append(ports, line{key: "port", args: []string{p}, file: o.names[0]})
		}
	}
	if len(ports) == 0 {
		ports = []line{{key: "port", args: []string{"22"}, file: o.config}}
	}
	if len(c.listen) == 0 {
		for _, a := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
			if c.serves(a) {
				r.add(a, ports, c.family)
			}
		}
		r.familyNote(c)
		return
	}
	bound := false
	for _, l := range c.listen {
		bound = r.listenAddress(l, ports, c, u) || bound
	}
	if !bound {
		r.Remarks.Add(remark.Cut, "sshd-listenaddress-absent",
			fmt.Sprintf("sshd does not start: none of its addresses will be there (%s)", c.listen[0].text()),
			c.listen[0].file, c.listen[0].text(), u.Name)
	}
}

// familyNote tells what an address family leaves out.
func (r *reader) familyNote(c *config) {
	if c.family != nil && c.family.args[0] != "any" {
		r.Remarks.Add(remark.Note, "sshd-addressfamily", fmt.Sprintf("%s: sshd listens on that family only", c.family.text()),
			c.family.file, c.family.text())
	}
}

// listenAddress takes one ListenAddress, and tells whether sshd can bind it, as far as is
// known.
func (r *reader) listenAddress(l line, ports []line, c *config, u *systemd.Unit) bool {
	a, port, name := splitAddress(l.args[0])
	if name != "" {
		r.Remarks.Add(remark.Opaque, "sshd-listenaddress-hostname",
			fmt.Sprintf("%s: %s has to be resolved when sshd starts; where no resolver answers then, sshd does not start", l.at(), name),
			l.file, name, l.text())
		return true
	}
	if !c.serves(a) {
		if c.family.args[0] == "inet" {
			r.Remarks.Add(remark.Cut, "sshd-config-error", fmt.Sprintf("%s: sshd does not start: %s does not fit %s", l.at(), l.text(), c.family.text()), l.file, l.text())
		}
		return true
	}
	if port != 0 {
		ports = []line{{key: "port", args: []string{strconv.Itoa(int(port))}, file: l.file}}
	}
	if a.IsUnspecified() || a.IsLoopback() {
		r.add(a, ports, &l)
		return true
	}
	switch r.presence(a) {
	case Absent:
		r.Remarks.Add(remark.Note, "sshd-listenaddress-absent", fmt.Sprintf("%s: no link will have %s, so that sshd does not listen there", l.at(), a), l.file, l.text())
		return false
	case Late, Unknown:
		r.late(l, a, u)
	}
	r.add(a, ports, &l)
	return true
}

// late judges an address that may not be there yet when sshd starts: where the unit tries
// again after a pause, sshd comes up later.
func (r *reader) late(l line, a netip.Addr, u *systemd.Unit) {
	if restarts(u) {
		r.Remarks.Add(remark.Note, "sshd-listenaddress-late",
			fmt.Sprintf("%s: %s may come after sshd has started; its unit tries again until it is there", l.at(), a), l.file, l.text(), u.Name, restartSetting(u))
		return
	}
	r.Remarks.Add(remark.Opaque, "sshd-listenaddress-late",
		fmt.Sprintf("%s: %s may not be there yet when sshd starts, and its unit does not try again", l.at(), a), l.file, l.text(), u.Name)
}

// restarts tells whether a unit starts sshd again, after a pause that no start limit
// cuts short, where it could not bind (exit status 255).
func restarts(u *systemd.Unit) bool {
	restart, _ := u.Get("Service", "Restart")
	prevent, _ := u.Get("Service", "RestartPreventExitStatus")
	wait, ok := u.Get("Service", "RestartSec")
	return (restart.Value == "on-failure" || restart.Value == "always") && !slices.Contains(strings.Fields(prevent.Value), "255") && ok && wait.Value != "0"
}

func restartSetting(u *systemd.Unit) string {
	s, _ := u.Get("Service", "RestartSec")
	return "RestartSec=" + s.Value
}

func (r *reader) add(a netip.Addr, ports []line, why *line) {
	for _, p := range ports {
		n, err := strconv.ParseUint(p.args[0], 10, 16)
		if err != nil {
			continue
		}
		names := []string{p.file, "Port " + p.args[0]}
		if why != nil {
			names = append(names, why.file, why.text())
		}
		r.Listens = append(r.Listens, Listen{netip.AddrPortFrom(a, uint16(n)), names})
	}
}
