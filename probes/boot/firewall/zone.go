package firewall

import (
	"path"
	"strings"
)

// zoneDirs are where firewalld finds the files of zones; one of the administrator's
// replaces one of the package's.
var zoneDirs = []string{"/etc/firewalld/zones", "/usr/lib/firewalld/zones"}

// zone are the files and settings by which firewalld comes to the zone of the link
// (firewalld.zones(5)): what NetworkManager or a network script says, an interface that a
// zone names, or else the default zone.
func (r root) zone() []string {
	name, names := r.zoneOfProfile()
	if name == "" {
		name, names = r.zoneOfInterface()
	}
	if name == "" {
		name, names = "public", nil
		if line := r.assigned("/etc/firewalld/firewalld.conf", "DefaultZone"); line != "" {
			name, names = strings.TrimPrefix(line, "DefaultZone="), []string{"/etc/firewalld/firewalld.conf", line}
		}
	}
	for _, dir := range zoneDirs {
		if f := path.Join(dir, name+".xml"); r.has(f) {
			return append(names, f)
		}
	}
	return names
}

// zoneOfProfile looks for the zone in the profile of the link.
func (r root) zoneOfProfile() (string, []string) {
	const profiles = "/etc/NetworkManager/system-connections"
	files := []string{"/etc/sysconfig/network-scripts/ifcfg-" + r.link}
	entries, _ := r.tree.ReadDir(profiles) // without the directory there are none
	for _, e := range entries {
		files = append(files, path.Join(profiles, e))
	}
	for _, f := range files {
		text, ok := r.read(f)
		if !ok || path.Dir(f) == profiles && !strings.Contains(string(text), "interface-name="+r.link) {
			continue
		}
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if k, v, ok := strings.Cut(line, "="); ok && strings.EqualFold(k, "zone") && v != "" {
				return strings.Trim(v, `"'`), []string{f, line}
			}
		}
	}
	return "", nil
}

// zoneOfInterface looks for a zone of the administrator's that names the link.
func (r root) zoneOfInterface() (string, []string) {
	entries, _ := r.tree.ReadDir(zoneDirs[0]) // without the directory there are none
	for _, e := range entries {
		f := path.Join(zoneDirs[0], e)
		text, ok := r.read(f)
		if ok && strings.HasSuffix(e, ".xml") && strings.Contains(string(text), `<interface name="`+r.link+`"`) {
			return strings.TrimSuffix(e, ".xml"), []string{f}
		}
	}
	return "", nil
}
