package systemd

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"lifeline/probes/boot/rootfs"
)

// Unit is a unit as the manager loads it.
type Unit struct {
	// Name is its own name, and Names all that it has, its own first.
	Name  string
	Names []string
	// File is the path in the tree that defines it, "" where nothing does or where it
	// is masked; Entry is the entry of the search path that decided that.
	File, Entry string
	Masked      bool
	// DropIns are the files that were read after File, in that order.
	DropIns  []string
	settings []Setting
}

// Found tells whether there is something to start.
func (u *Unit) Found() bool { return u.File != "" }

// All are the values of a setting that is a list: an empty assignment clears what
// stands before it.
func (u *Unit) All(section, key string) []Setting {
	var out []Setting
	for _, s := range u.settings {
		switch {
		case s.Section != section || s.Key != key:
		case s.Value == "":
			out = out[:0]
		default:
			out = append(out, s)
		}
	}
	return out
}

// Get is the value of a setting of which the last one counts, and whether there is one.
func (u *Unit) Get(section, key string) (Setting, bool) {
	for _, s := range slices.Backward(u.settings) {
		if s.Section == section && s.Key == key {
			return s, true
		}
	}
	return Setting{}, false
}

// Bool is a setting that is true or false (systemd.syntax(7)), or what stands for it
// where it is not set.
func (u *Unit) Bool(section, key string, otherwise bool) bool {
	s, ok := u.Get(section, key)
	if !ok {
		return otherwise
	}
	if b, ok := parseBool(s.Value); ok {
		return b
	}
	return otherwise
}

func parseBool(v string) (value, ok bool) {
	switch strings.ToLower(v) {
	case "1", "yes", "y", "true", "t", "on":
		return true, true
	case "0", "no", "n", "false", "f", "off":
		return false, true
	}
	return false, false
}

// Words are the words of all values of a list of names.
func (u *Unit) Words(section, key string) []Word {
	var out []Word
	for _, s := range u.All(section, key) {
		for _, w := range strings.Fields(s.Value) {
			out = append(out, Word{Text: u.expand(w), At: s})
		}
	}
	return out
}

// Word is one word of a value, and where it stands.
type Word struct {
	Text string
	At   Setting
}

// expand replaces the specifiers that a unit's name decides (systemd.unit(5),
// "Specifiers"); others stay as they are.
func (u *Unit) expand(v string) string {
	if !strings.Contains(v, "%") {
		return v
	}
	bare := u.Name[:strings.LastIndexByte(u.Name, '.')]
	prefix, instance, _ := strings.Cut(bare, "@")
	last := prefix[strings.LastIndexByte(prefix, '-')+1:]
	return strings.NewReplacer("%%", "%", "%n", u.Name, "%N", bare, "%p", prefix, "%P", unescape(prefix),
		"%i", instance, "%I", unescape(instance), "%j", last, "%J", unescape(last)).Replace(v)
}

// unescape undoes systemd-escape(1) for what is common: "-" stands for "/".
func unescape(s string) string {
	s = strings.ReplaceAll(s, "-", "/")
	return strings.ReplaceAll(s, `\x2d`, "-")
}

// loader reads units, each once.
type loader struct {
	tree  *rootfs.Tree
	cat   *catalogue
	units map[string]*Unit
	// generated are the texts of files that only a generator writes, and links the
	// dependencies that generators and presets add, by the unit that pulls in.
	generated map[string]string
	links     map[string][]edge
	// maskedLinks are the entries that mask a dependency, by the unit that they name.
	maskedLinks map[string]string
	firstBoot   bool
	// doubts are what could not be read.
	doubts []Doubt
}

// Doubt is something that may make the boot another one than is told here.
type Doubt struct {
	// Path is the file that it is about, and Text the sentence.
	Path, Text string
}

// load is the unit of a name.
func (l *loader) load(name string) *Unit {
	name = l.cat.canonical(name)
	if u, ok := l.units[name]; ok {
		return u
	}
	u := &Unit{Name: name, Names: l.cat.names(name)}
	l.units[name] = u
	u.File, u.Masked = l.cat.file(name)
	u.Entry = l.cat.where[name]
	if u.Entry == "" {
		u.Entry = l.cat.where[templateOf(name)]
	}
	if !u.Found() {
		return u
	}
	u.settings = l.read(u.File)
	u.DropIns = l.dropIns(u)
	for _, f := range u.DropIns {
		u.settings = append(u.settings, l.read(f)...)
	}
	return u
}

func (l *loader) read(file string) []Setting {
	if text, ok := l.generated[file]; ok {
		return Parse(file, []byte(text))
	}
	text, err := l.tree.ReadFile(file)
	if err != nil {
		l.doubt(file, err)
		return nil
	}
	return Parse(file, text)
}

// doubt keeps what cannot be looked at; what is not there is none.
func (l *loader) doubt(file string, err error) {
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.doubts = append(l.doubts, Doubt{Path: file, Text: err.Error()})
	}
}

// dropIns are the files NAME.d/*.conf, ordered by their names; of one name the first
// directory's is taken, and one that is /dev/null or empty hides the others.
func (l *loader) dropIns(u *Unit) []string {
	found := map[string]string{}
	for _, sub := range dropInDirs(u.Names) {
		for _, file := range l.listed(sub) {
			if base := path.Base(file); strings.HasSuffix(base, ".conf") && found[base] == "" {
				found[base] = file
			}
		}
	}
	var out []string
	for base, file := range found {
		if null, err := l.leadsToNull(file); err != nil || null {
			l.doubt(file, err)
			delete(found, base)
		}
	}
	for _, base := range slices.Sorted(maps.Keys(found)) {
		out = append(out, found[base])
	}
	return out
}

func (l *loader) leadsToNull(file string) (bool, error) {
	target, err := l.tree.Resolve(file)
	if err != nil {
		return false, err
	}
	return isNull(l.tree, target)
}

// dropInDirs are the directories of drop-ins for the names of a unit, the most
// specific one first: a-b.service.d, a-.service.d, service.d, and those of templates.
func dropInDirs(names []string) []string {
	var out []string
	add := func(name string) {
		if !slices.Contains(out, name+".d") {
			out = append(out, name+".d")
		}
	}
	for _, name := range names {
		add(name)
		if tpl, ok := template(name); ok {
			add(tpl)
		}
	}
	for _, name := range names {
		dot := strings.LastIndexByte(name, '.')
		for prefix := strings.TrimSuffix(name[:dot], "-"); strings.Contains(prefix, "-"); {
			prefix = prefix[:strings.LastIndexByte(prefix, '-')]
			add(prefix + "-" + name[dot:])
		}
		add(strings.TrimPrefix(name[dot:], "."))
	}
	return out
}

// listed are the entries of a directory of that name in every directory of the search
// path, in its order.
func (l *loader) listed(sub string) []string {
	var out []string
	for _, dir := range l.cat.dirs {
		if !l.cat.entries[dir][sub] {
			continue
		}
		names, err := l.tree.ReadDir(path.Join(dir, sub))
		if err != nil {
			l.doubt(path.Join(dir, sub), err)
			continue
		}
		for _, n := range names {
			out = append(out, path.Join(dir, sub, n))
		}
	}
	return out
}
