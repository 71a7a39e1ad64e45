package rootfs

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// programPath is where scripts and service managers look for a program by its name.
var programPath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// LookPath is the file that the name of a program stands for, "" for none.
func (t *Tree) LookPath(program string) string {
	for _, dir := range programPath {
		file := path.Join(dir, program)
		if st, err := t.Stat(file); err == nil && st.Executable() {
			return file
		}
	}
	return ""
}

// Glob are the paths that fit a pattern, sorted, as glob(3) finds them, with wildcards in
// the last part alone. A path without wildcards is taken as it is, whether it is there or
// not.
func (t *Tree) Glob(pattern string) []string {
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}
	}
	dir, last := path.Split(pattern)
	names, err := t.ReadDir(dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range names {
		if ok, err := path.Match(last, n); err == nil && ok && (n[0] != '.' || last[0] == '.') {
			out = append(out, path.Join(dir, n))
		}
	}
	return out
}

// FirstByName are the files of a suffix in directories, ordered by their names; of one
// name that of the first directory, which may be a link that masks the others. The error
// is of directories that are there and cannot be read.
func (t *Tree) FirstByName(dirs []string, suffix string) ([]string, error) {
	found := map[string]string{}
	var failed []error
	for _, dir := range dirs {
		names, err := t.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, err)
		}
		for _, n := range names {
			if strings.HasSuffix(n, suffix) && found[n] == "" {
				found[n] = path.Join(dir, n)
			}
		}
	}
	var out []string
	for _, n := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[n])
	}
	return out, errors.Join(failed...)
}

// OSRelease are the values of os-release(5); none where the file cannot be read.
func (t *Tree) OSRelease() map[string]string {
	out := map[string]string{}
	text, err := t.ReadFile("/etc/os-release")
	if err != nil {
		return out
	}
	for l := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(l), "="); ok && !strings.HasPrefix(k, "#") {
			out[k] = strings.Trim(v, `"'`)
		}
	}
	return out
}
