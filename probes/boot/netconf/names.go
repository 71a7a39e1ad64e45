package netconf

import (
	"fmt"
	"path"
	"strings"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/systemd"
)

// renamed looks for .link files (systemd.link(5)) that give the link another name at the
// next boot. Which file an address of hardware fits is not known here.
func (r *reader) renamed() {
	for _, file := range r.byName(networkDirs, ".link") {
		if !strings.HasPrefix(file, "/etc/") {
			continue // the policies of distributions, which the link's name is of already
		}
		text, err := r.tree.ReadFile(file)
		if err != nil {
			continue
		}
		name, original, other := "", "", ""
		for _, s := range systemd.Parse(file, text) {
			switch s.Section + "." + s.Key {
			case "Link.Name":
				name = s.Value
			case "Match.OriginalName", "Match.Name":
				original = s.Value
			case "Match.MACAddress", "Match.PermanentMACAddress", "Match.Path", "Match.Driver":
				other = s.Key + "=" + s.Value
			}
		}
		fits, _ := path.Match(original, r.link)
		switch {
		case name == "" || name == r.link:
		case fits && other == "":
			r.Remarks.Add(remark.Cut, "link-renamed", fmt.Sprintf("%s gives %s the name %s at the next boot", file, r.link, name), file, r.link, "Name="+name)
		case other != "" && (original == "" || fits):
			r.Remarks.Add(remark.Note, "link-renamed", fmt.Sprintf("%s gives the name %s to a link by %s: whether that is %s is not checked", file, name, other, r.link), file, "Name="+name)
		}
	}
}

// mounts reads fstab(5): what is mounted without nofail stops the boot before sshd where
// its device is missing.
func (r *reader) mounts() {
	text, err := r.tree.ReadFile("/etc/fstab")
	if err != nil {
		return
	}
	for l := range strings.Lines(string(text)) {
		w := strings.Fields(l)
		if len(w) < 4 || strings.HasPrefix(w[0], "#") || w[1] == "/" || w[1] == "none" || w[2] == "swap" {
			continue
		}
		if optional(w[3]) {
			continue
		}
		r.Remarks.Add(remark.Note, "fstab-not-checked",
			fmt.Sprintf("/etc/fstab: where %s is missing at boot, %s cannot be mounted and sshd does not start (nofail would do): that its device is there is not checked", w[0], w[1]),
			"/etc/fstab", w[1], "nofail")
	}
}

// optional tells of options by which a boot goes on without the mount.
func optional(options string) bool {
	for _, o := range strings.Split(options, ",") {
		switch {
		case o == "nofail", o == "noauto", o == "_netdev", strings.HasPrefix(o, "x-systemd.automount"):
			return true
		}
	}
	return false
}
