package netconf

import (
	"fmt"
	"maps"
	"slices"

	"github.com/goccy/go-yaml"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/systemd"
)

// netplanDevice is a device of netplan's YAML, as far as it counts here
// (https://netplan.readthedocs.io/en/stable/netplan-yaml/).
type netplanDevice struct {
	Renderer   string         `yaml:"renderer"`
	Addresses  []any          `yaml:"addresses"`
	DHCP4      bool           `yaml:"dhcp4"`
	DHCP6      bool           `yaml:"dhcp6"`
	Gateway4   string         `yaml:"gateway4"`
	Gateway6   string         `yaml:"gateway6"`
	Routes     []netplanRoute `yaml:"routes"`
	Match      map[string]any `yaml:"match"`
	SetName    string         `yaml:"set-name"`
	Activation string         `yaml:"activation-mode"`
}

type netplanRoute struct {
	To string `yaml:"to"`
}

type netplanFile struct {
	Network struct {
		Renderer  string                   `yaml:"renderer"`
		Ethernets map[string]netplanDevice `yaml:"ethernets"`
		Bonds     map[string]netplanDevice `yaml:"bonds"`
		Bridges   map[string]netplanDevice `yaml:"bridges"`
		VLANs     map[string]netplanDevice `yaml:"vlans"`
	} `yaml:"network"`
}

// netplanDirs are where netplan finds its files.
var netplanDirs = []string{"/etc/netplan", "/lib/netplan", "/usr/lib/netplan"}

// netplan takes netplan's files, which its generator makes those of networkd or
// NetworkManager of at each boot. Later files add to what earlier ones say.
func (r *reader) netplan() {
	files := r.byName(netplanDirs, ".yaml")
	if len(files) == 0 || !r.netplanInstalled() {
		return
	}
	renderer, said := "networkd", ""
	var device *netplanDevice
	var where string
	for _, file := range files {
		text, err := r.tree.ReadFile(file)
		var f netplanFile
		if err == nil {
			err = yaml.Unmarshal(text, &f)
		}
		if err != nil {
			r.Remarks.Add(remark.Opaque, "netconf-unread", fmt.Sprintf("%s: %v", file, err), file)
			continue
		}
		if f.Network.Renderer != "" {
			renderer, said = f.Network.Renderer, file
		}
		for _, group := range []map[string]netplanDevice{f.Network.Ethernets, f.Network.Bonds, f.Network.Bridges, f.Network.VLANs} {
			if d, ok := r.netplanDevice(group); ok {
				device, where = &d, file
			}
		}
	}
	if device == nil {
		return
	}
	if device.Renderer != "" {
		renderer, said = device.Renderer, where
	}
	r.netplanProfile(device, where, renderer, said)
}

// netplanInstalled tells whether the tree has netplan's generator.
func (r *reader) netplanInstalled() bool {
	for _, f := range []string{"/usr/lib/systemd/system-generators/netplan", "/lib/systemd/system-generators/netplan", "/usr/libexec/netplan/generate"} {
		if ok, _ := r.tree.Exists(f); ok {
			return true
		}
	}
	return false
}

// netplanDevice is the device that stands for the link: by its name, by the name that it
// is given, or by one that is matched.
func (r *reader) netplanDevice(group map[string]netplanDevice) (netplanDevice, bool) {
	if d, ok := group[r.link]; ok && d.SetName == "" {
		return d, true
	}
	for _, id := range slices.Sorted(maps.Keys(group)) {
		if d := group[id]; d.SetName == r.link || d.Match["name"] == r.link {
			return d, true
		}
	}
	return netplanDevice{}, false
}

// netplanProfile is what the renderer makes of a device.
func (r *reader) netplanProfile(d *netplanDevice, where, renderer, said string) {
	names := []string{where, "renderer: " + renderer}
	if said != "" {
		names = append(names, said)
	}
	service := "NetworkManager.service"
	if renderer == "networkd" {
		service = "systemd-networkd.service" // the generator starts it
	}
	j := r.boot.Job(service)
	if renderer == "NetworkManager" && j.State != systemd.Starts || renderer == "networkd" && (j.State == systemd.Masked || j.State == systemd.Missing) {
		r.ignored.Add(remark.Cut, "netconf-renderer-missing",
			fmt.Sprintf("%s: renderer: %s, and %s does not start: nothing configures %s (%s)", said, renderer, service, r.link, j.Why), append(names, r.link, service)...)
		return
	}
	if d.Activation == "manual" || d.Activation == "off" {
		r.ignored.Add(remark.Cut, "netconf-not-automatic", fmt.Sprintf("%s has activation-mode: %s: nothing brings %s up", where, d.Activation, r.link), append(names, r.link)...)
		return
	}
	p := Profile{Manager: "netplan", File: where, Dynamic: d.DHCP4 || d.DHCP6, Names: names}
	p.Gateway = p.Dynamic || d.Gateway4 != "" || d.Gateway6 != ""
	for _, route := range d.Routes {
		p.Gateway = p.Gateway || route.To == "default" || route.To == "0.0.0.0/0" || route.To == "::/0"
	}
	for _, a := range d.Addresses {
		switch a := a.(type) {
		case string:
			p.Addresses = append(p.Addresses, prefixes(a)...)
		case map[string]any:
			p.Addresses = append(p.Addresses, prefixes(slices.Collect(maps.Keys(a))...)...)
		}
	}
	r.Profiles = append(r.Profiles, p)
}
