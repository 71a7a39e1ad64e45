package netconf

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"lifeline/probes/boot/ifupdown"
	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/systemd"
)

// ifupdown takes the stanzas of interfaces(5).
func (r *reader) ifupdown() {
	conf := ifupdown.Read(r.tree)
	stanzas := conf.Of(r.link)
	if len(stanzas) == 0 {
		return
	}
	line := conf.BroughtUp(r.link)
	switch {
	case line == "":
		r.ignored.Add(remark.Cut, "netconf-not-automatic",
			fmt.Sprintf("%s line %d describes %s, and neither auto nor allow-hotplug names it: nothing brings it up", stanzas[0].File, stanzas[0].Line, r.link),
			stanzas[0].File, r.link)
		return
	case !r.boot.Starts("networking.service"):
		j := r.boot.Job("networking.service")
		r.ignored.Add(remark.Cut, "netconf-service-off", fmt.Sprintf("%s describes %s, and networking.service does not start: %s", stanzas[0].File, r.link, j.Why),
			append([]string{stanzas[0].File, r.link, "networking.service"}, j.Names...)...)
		return
	}
	p := Profile{Manager: "ifupdown", File: stanzas[0].File, Early: true, Names: []string{stanzas[0].File, line}}
	for _, s := range stanzas {
		if s.Method != "static" && s.Method != "manual" && s.Method != "loopback" {
			p.Dynamic, p.Gateway = true, true
		}
		p.Addresses = append(p.Addresses, prefixes(strings.Fields(s.Get("address"))...)...)
		p.Gateway = p.Gateway || s.Get("gateway") != ""
		for _, o := range s.Options {
			if (o.Name == "up" || o.Name == "post-up") && strings.Contains(o.Value, "route") {
				p.Gateway = true
			}
		}
	}
	r.Profiles = append(r.Profiles, p)
}

// networkDirs are where networkd finds its files (systemd.network(5)).
var networkDirs = []string{"/etc/systemd/network", "/usr/local/lib/systemd/network", "/lib/systemd/network", "/usr/lib/systemd/network"}

// networkd takes the first .network file that fits the link.
func (r *reader) networkd() {
	for _, file := range r.byName(networkDirs, ".network") {
		settings := r.withDropIns(file)
		if !r.matches(settings) {
			continue
		}
		if !r.boot.Starts("systemd-networkd.service") {
			j := r.boot.Job("systemd-networkd.service")
			if strings.HasPrefix(file, "/etc/") {
				r.ignored.Add(remark.Cut, "netconf-service-off", fmt.Sprintf("%s configures %s, and systemd-networkd.service does not start: %s", file, r.link, j.Why),
					append([]string{file, r.link, "systemd-networkd.service"}, j.Names...)...)
			}
			return
		}
		r.Profiles = append(r.Profiles, networkdProfile(file, settings))
		return
	}
}

func networkdProfile(file string, settings []systemd.Setting) Profile {
	p := Profile{Manager: "systemd-networkd", File: file, Names: []string{file, "systemd-networkd.service"}}
	for _, s := range settings {
		switch s.Section + "." + s.Key {
		case "Network.Address", "Address.Address":
			p.Addresses = append(p.Addresses, prefixes(s.Value)...)
		case "Network.Gateway", "Route.Gateway":
			p.Gateway = true
		case "Network.DHCP":
			if s.Value != "no" && s.Value != "false" {
				p.Dynamic, p.Gateway = true, true
			}
		case "Network.IPv6AcceptRA":
			p.Dynamic = p.Dynamic || s.Value == "yes" || s.Value == "true"
		}
	}
	return p
}

// byName are the files of a suffix in directories, ordered by their names; of one name
// the first directory's.
func (r *reader) byName(dirs []string, suffix string) []string {
	files, err := r.tree.FirstByName(dirs, suffix)
	if err != nil {
		r.Remarks.Add(remark.Opaque, "netconf-unread", err.Error(), dirs...)
	}
	return slices.DeleteFunc(files, func(f string) bool {
		target, err := r.tree.Resolve(f)
		return err != nil || target == "/dev/null"
	})
}

// withDropIns are the settings of a file of networkd and of FILE.d/*.conf.
func (r *reader) withDropIns(file string) []systemd.Setting {
	text, err := r.tree.ReadFile(file)
	if err != nil {
		r.Remarks.Add(remark.Opaque, "netconf-unread", err.Error(), file)
		return nil
	}
	out := systemd.Parse(file, text)
	var dirs []string
	for _, d := range networkDirs {
		dirs = append(dirs, path.Join(d, path.Base(file)+".d"))
	}
	for _, f := range r.byName(dirs, ".conf") {
		if text, err := r.tree.ReadFile(f); err == nil {
			out = append(out, systemd.Parse(f, text)...)
		}
	}
	return out
}

// matches tells whether the [Match] section fits the link. What is not a name cannot be
// judged here, and is taken to fit only beside a name that does.
func (r *reader) matches(settings []systemd.Setting) bool {
	found := false
	for _, s := range settings {
		if s.Section != "Match" {
			continue
		}
		if s.Key != "Name" {
			continue
		}
		found = true
		if !slices.ContainsFunc(strings.Fields(s.Value), func(p string) bool { ok, err := path.Match(p, r.link); return err == nil && ok }) {
			return false
		}
	}
	return found
}

// networkManager takes the profiles of NetworkManager: keyfiles and ifcfg files.
func (r *reader) networkManager() {
	job := r.boot.Job("NetworkManager.service")
	var profiles []Profile
	for _, dir := range []string{"/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections"} {
		names, err := r.tree.ReadDir(dir)
		if err != nil {
			continue
		}
		for _, n := range names {
			if p, ok := r.keyfile(path.Join(dir, n), dir[:4] == "/etc"); ok {
				profiles = append(profiles, p)
			}
		}
	}
	if p, ok := r.ifcfg("/etc/sysconfig/network-scripts/ifcfg-" + r.link); ok {
		profiles = append(profiles, p)
	}
	if len(profiles) > 0 && job.State != systemd.Starts {
		r.ignored.Add(remark.Cut, "netconf-service-off",
			fmt.Sprintf("%s configures %s, and NetworkManager.service does not start: %s", profiles[0].File, r.link, job.Why),
			append([]string{profiles[0].File, r.link, "NetworkManager.service"}, job.Names...)...)
		return
	}
	r.Profiles = append(r.Profiles, profiles...)
}

// keyfile reads a profile of nm-settings-keyfile(5). One that others may read is ignored
// by NetworkManager.
func (r *reader) keyfile(file string, private bool) (Profile, bool) {
	st, err := r.tree.Stat(file)
	text, rerr := r.tree.ReadFile(file)
	if err != nil || rerr != nil || !st.Mode.IsRegular() {
		return Profile{}, false
	}
	p := Profile{Manager: "NetworkManager", File: file, Names: []string{file, "NetworkManager.service"}}
	name, automatic, kind := "", true, ""
	for _, s := range systemd.Parse(file, text) {
		switch key := s.Section + "." + s.Key; {
		case key == "connection.interface-name":
			name = s.Value
		case key == "connection.type":
			kind = s.Value
		case key == "connection.autoconnect":
			automatic = s.Value != "false" && s.Value != "no"
		case (s.Section == "ipv4" || s.Section == "ipv6") && strings.HasPrefix(s.Key, "address"):
			address, gateway, _ := strings.Cut(s.Value, ",")
			p.Addresses = append(p.Addresses, prefixes(address)...)
			p.Gateway = p.Gateway || gateway != ""
		case key == "ipv4.gateway" || key == "ipv6.gateway":
			p.Gateway = true
		case key == "ipv4.method" || key == "ipv6.method":
			dynamic := s.Value == "auto" || s.Value == "dhcp"
			p.Dynamic, p.Gateway = p.Dynamic || dynamic, p.Gateway || dynamic
		}
	}
	if name != r.link && !(name == "" && (kind == "ethernet" || kind == "802-3-ethernet")) {
		return p, false
	}
	switch {
	case private && (st.Mode.Perm()&0o077 != 0 || st.UID != 0):
		r.ignored.Add(remark.Cut, "netconf-ignored-permissions",
			fmt.Sprintf("NetworkManager ignores %s, which has mode %04o and owner %d: it must be 0600 and root's", file, st.Mode.Perm(), st.UID),
			file, fmt.Sprintf("%04o", st.Mode.Perm()))
		return p, false
	case !automatic:
		r.ignored.Add(remark.Cut, "netconf-not-automatic", fmt.Sprintf("%s has autoconnect=false: nothing brings %s up", file, r.link), file, "autoconnect=false")
		return p, false
	}
	return p, true
}

// ifcfg reads a file of RHEL's network scripts, which NetworkManager reads too.
func (r *reader) ifcfg(file string) (Profile, bool) {
	text, err := r.tree.ReadFile(file)
	if err != nil {
		return Profile{}, false
	}
	values := map[string]string{}
	for l := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(l), "="); ok && !strings.HasPrefix(k, "#") {
			values[k] = strings.Trim(v, `"'`)
		}
	}
	if v := strings.ToLower(values["ONBOOT"]); v == "no" || v == "false" {
		r.ignored.Add(remark.Cut, "netconf-not-automatic", fmt.Sprintf("%s has ONBOOT=%s: nothing brings %s up", file, values["ONBOOT"], r.link),
			file, "ONBOOT="+values["ONBOOT"])
		return Profile{}, false
	}
	p := Profile{Manager: "NetworkManager", File: file, Names: []string{file}, Gateway: values["GATEWAY"] != ""}
	if v := strings.ToLower(values["BOOTPROTO"]); v == "dhcp" || v == "bootp" {
		p.Dynamic, p.Gateway = true, true
	}
	for k, v := range values {
		if strings.HasPrefix(k, "IPADDR") || k == "IPV6ADDR" {
			p.Addresses = append(p.Addresses, prefixes(v)...)
		}
	}
	slices.SortFunc(p.Addresses, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return p, true
}
