package firewall

import (
	"path"
	"strings"
)

// backend is which tables a restore tool writes to: by its name, or by where the
// alternatives of the distribution lead. Where its name does not tell, RHEL 8 and later
// have the one for nftables only.
func (r root) backend(tool string) Backend {
	if !strings.Contains(tool, "/") {
		tool = r.tree.LookPath(tool)
	}
	target, err := r.tree.Resolve(tool)
	if err != nil || tool == "" {
		return Unknown
	}
	for _, name := range []string{path.Base(target), path.Base(tool)} {
		switch {
		case strings.Contains(name, "legacy"):
			return Legacy
		case strings.Contains(name, "nft"):
			return NFT
		}
	}
	if r.isRHEL() {
		return NFT
	}
	return Unknown
}

// isRHEL tells of RHEL 8 and later and what is built from it (os-release(5)).
func (r root) isRHEL() bool {
	values := r.tree.OSRelease()
	for _, id := range strings.Fields(values["ID"] + " " + values["ID_LIKE"]) {
		if id == "rhel" || id == "fedora" || id == "centos" {
			return !strings.HasPrefix(values["VERSION_ID"], "7")
		}
	}
	return false
}
