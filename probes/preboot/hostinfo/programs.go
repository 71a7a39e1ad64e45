package hostinfo

import (
	"os"
	"path/filepath"
)

// ProgramPath is where tools are looked for. The caller's PATH is not asked.
var ProgramPath = []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin", "/run/current-system/sw/bin"}

// FindProgram is the path of an executable in ProgramPath, empty if there is none.
func FindProgram(name string) string {
	for _, dir := range ProgramPath {
		p := filepath.Join(dir, name)
		if st, err := os.Stat(p); err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0 {
			return p
		}
	}
	return ""
}
