package firewall

import (
	"path"
	"strings"
)

// binDirs are where a tool is looked for, in the order of the path that scripts of
// managers have.
var binDirs = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// backend is which tables a restore tool writes to: by its name, or by where the
// alternatives of the distribution lead. Where its name does not tell, RHEL 8 and later
// have the one for nftables only.
func (r root) backend(tool string) (b Backend, file string) {
	if !strings.Contains(tool, "/") {
		tool = r.which(tool)
	}
	target, err := r.tree.Resolve(tool)
	if err != nil || tool == "" {
		return Unknown, tool
	}
	for _, name := range []string{path.Base(target), path.Base(tool)} {
		switch {
		case strings.Contains(name, "legacy"):
			return Legacy, target
		case strings.Contains(name, "nft"):
			return NFT, target
		}
	}
	if r.isRHEL() {
		return NFT, target
	}
	return Unknown, target
}

// which is the file that a command without a slash stands for, "" for none.
func (r root) which(tool string) string {
	for _, dir := range binDirs {
		if st, err := r.tree.Stat(path.Join(dir, tool)); err == nil && st.Executable() {
			return path.Join(dir, tool)
		}
	}
	return ""
}

// isRHEL tells of RHEL 8 and later and what is built from it (os-release(5)).
func (r root) isRHEL() bool {
	values, _ := r.settings("/etc/os-release")
	for _, id := range strings.Fields(values["ID"] + " " + values["ID_LIKE"]) {
		if id == "rhel" || id == "fedora" || id == "centos" {
			return !strings.HasPrefix(values["VERSION_ID"], "7")
		}
	}
	return false
}
