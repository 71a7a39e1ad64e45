package preboot

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// appends matches a rule that is put into a chain.
var appends = regexp.MustCompile(`(?m)^[ \t]*(?:\[\d+:\d+\][ \t]*)?(?:-A|-I|--append|--insert)[ \t]+"?([^ \t"\n]+)`)

var builtInChains = []string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

// detached tells whether a file has rules and none in a chain of the kernel's own, so that
// no packet comes to them by this file alone.
func (f *bootFile) detached() bool {
	found := appends.FindAllSubmatch(f.Text, -1)
	return len(found) > 0 && !slices.ContainsFunc(found, func(m [][]byte) bool { return slices.Contains(builtInChains, string(m[1])) })
}

// owner names the manager whose file it looks like, in brackets.
func (f *bootFile) owner() string {
	if strings.Contains(string(f.Text), ":ufw") || filepath.Base(filepath.Dir(f.Path)) == "ufw" {
		return " (it is one of ufw's, which loads it behind its own chains: ask for the boot by --root)"
	}
	return ""
}
