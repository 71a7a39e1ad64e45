package savedrules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// usualFiles are where distributions save what they load at boot; of each
// role's list the first that exists counts.
var usualFiles = []struct {
	role  string
	paths []string
}{
	{RoleIPSets, []string{"/etc/iptables/ipsets", "/etc/sysconfig/ipset", "/etc/ipset.conf"}},
	{RoleRules4, []string{"/etc/iptables/rules.v4", "/etc/sysconfig/iptables"}},
	{RoleRules6, []string{"/etc/iptables/rules.v6", "/etc/sysconfig/ip6tables"}},
}

// nftUnits tell by their presence that the boot loads a native nft file.
var nftUnits = []string{
	"/etc/systemd/system/sysinit.target.wants/nftables.service",
	"/etc/systemd/system/multi-user.target.wants/nftables.service",
	"/etc/runlevels/default/nftables",
	"/etc/runlevels/boot/nftables",
}

var nftFiles = []string{"/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft"}

// Usual fills in the files that this machine would load, below root.
func Usual(root string) (found map[string]string, notes []string) {
	found = map[string]string{}
	for _, u := range usualFiles {
		for _, p := range u.paths {
			switch _, err := os.Stat(filepath.Join(root, p)); {
			case errors.Is(err, fs.ErrNotExist):
			case found[u.role] == "":
				found[u.role] = p
			default:
				notes = append(notes, fmt.Sprintf("%s exists beside %s and is not looked at", p, found[u.role]))
			}
		}
	}
	for _, unit := range nftUnits {
		if _, err := os.Lstat(filepath.Join(root, unit)); err != nil {
			continue
		}
		for _, p := range nftFiles {
			if _, err := os.Stat(filepath.Join(root, p)); err == nil && found[RoleNFT] == "" {
				found[RoleNFT] = p
			}
		}
	}
	return found, notes
}
