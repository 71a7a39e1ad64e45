package systemd

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"lifeline/probes/boot/rootfs"
)

// searchPath are the directories of unit files that outlive a reboot, the first one
// first (systemd.unit(5), "System Unit Search Path"). Those below /run are empty when
// a boot begins; what generators write there is in Generated.
var searchPath = []string{
	"/etc/systemd/system.control",
	"/etc/systemd/system",
	"/etc/systemd/system.attached",
	"/usr/local/lib/systemd/system",
	"/lib/systemd/system", // where /lib is not /usr/lib
	"/usr/lib/systemd/system",
}

// suffixes are the types of units.
var suffixes = []string{".service", ".socket", ".target", ".device", ".mount", ".automount", ".swap", ".timer", ".path", ".slice", ".scope"}

func isUnitName(name string) bool {
	i := strings.LastIndexByte(name, '.')
	return i > 0 && slices.Contains(suffixes, name[i:])
}

// template is the name of the template of an instance: a@.service for a@b.service.
func template(name string) (string, bool) {
	at := strings.IndexByte(name, '@')
	dot := strings.LastIndexByte(name, '.')
	if at <= 0 || dot <= at+1 {
		return "", false
	}
	return name[:at+1] + name[dot:], true
}

// catalogue is what the search path holds: which file defines which name.
type catalogue struct {
	dirs []string
	// fragment is the file that defines a unit; "" where the name is masked.
	fragment map[string]string
	// where is the entry of the search path that decided a name.
	where map[string]string
	// alias leads from another name of a unit to its own.
	alias map[string]string
	// entries are the names in a directory of the search path.
	entries map[string]map[string]bool
}

// newCatalogue reads the directories of the search path. A directory that cannot be
// read makes every answer doubtful, so that is an error.
func newCatalogue(t *rootfs.Tree, generated map[string]string) (*catalogue, error) {
	c := &catalogue{
		fragment: map[string]string{}, where: map[string]string{}, alias: map[string]string{},
		entries: map[string]map[string]bool{},
	}
	seen := map[string]bool{}
	for _, dir := range searchPath {
		real, err := t.Resolve(dir)
		if err != nil {
			return nil, err
		}
		if seen[real] {
			continue
		}
		seen[real] = true
		names, err := t.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		c.dirs = append(c.dirs, dir)
		c.entries[dir] = map[string]bool{}
		for _, name := range names {
			c.entries[dir][name] = true
			if isUnitName(name) {
				if err := c.add(t, dir, name, seen); err != nil {
					return nil, err
				}
			}
		}
	}
	for name, file := range generated {
		if _, ok := c.where[name]; !ok {
			c.where[name], c.fragment[name] = file, file
		}
	}
	return c, nil
}

// add files one entry, unless a directory before this one has its name.
func (c *catalogue) add(t *rootfs.Tree, dir, name string, unitDirs map[string]bool) error {
	if _, ok := c.where[name]; ok {
		return nil
	}
	entry := path.Join(dir, name)
	target, err := t.Resolve(entry)
	if err != nil {
		return err
	}
	masked, err := isNull(t, target)
	switch {
	case err != nil:
		return err
	case masked:
		c.where[name], c.fragment[name] = entry, ""
		return nil
	}
	st, err := t.Lstat(entry)
	if err != nil {
		return err
	}
	if st.Mode.IsDir() {
		return nil
	}
	c.where[name] = entry
	other := path.Base(target)
	if st.Mode&fs.ModeSymlink == 0 || other == name || !isUnitName(other) || !isUnitDir(t, path.Dir(target), unitDirs) {
		c.fragment[name] = target
		return nil
	}
	c.alias[name] = other
	return nil
}

// isUnitDir tells whether a directory is one of the search path.
func isUnitDir(t *rootfs.Tree, dir string, seen map[string]bool) bool {
	if seen[dir] {
		return true
	}
	for _, d := range searchPath {
		if real, err := t.Resolve(d); err == nil && real == dir {
			return true
		}
	}
	return false
}

// isNull tells whether a path is what masks a unit or a dependency: /dev/null or an
// empty file. A tree need not have the device.
func isNull(t *rootfs.Tree, target string) (bool, error) {
	if target == "/dev/null" {
		return true, nil
	}
	st, err := t.Stat(target)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && st.Mode.IsRegular() && st.Size == 0, err
}

// maxAliases bounds a chain of names that lead to each other.
const maxAliases = 16

// canonical is the name of the unit that a name stands for.
func (c *catalogue) canonical(name string) string {
	for range maxAliases {
		if other, ok := c.alias[name]; ok {
			name = other
			continue
		}
		if tpl, ok := template(name); ok && c.where[name] == "" {
			if other, ok := c.alias[tpl]; ok {
				name = instantiate(other, name)
				continue
			}
		}
		return name
	}
	return name
}

// instantiate gives a template the instance of a name.
func instantiate(tpl, name string) string {
	at := strings.IndexByte(name, '@')
	instance := name[at+1 : strings.LastIndexByte(name, '.')]
	return strings.Replace(tpl, "@.", "@"+instance+".", 1)
}

// names are all the names of a unit, its own first.
func (c *catalogue) names(canonical string) []string {
	out := []string{canonical}
	for other := range c.alias {
		if other != canonical && c.canonical(other) == canonical {
			out = append(out, other)
		}
	}
	slices.Sort(out[1:])
	return out
}

// file is what defines a unit, and whether its name is masked. The file is "" where
// there is none.
func (c *catalogue) file(canonical string) (file string, masked bool) {
	for _, name := range []string{canonical, templateOf(canonical)} {
		if file, ok := c.fragment[name]; ok {
			return file, file == ""
		}
	}
	return "", false
}

func templateOf(name string) string {
	tpl, _ := template(name)
	return tpl
}
