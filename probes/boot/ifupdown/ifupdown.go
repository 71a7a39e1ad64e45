// Package ifupdown reads /etc/network/interfaces. The tree comes in; what is brought up by
// itself, and the options of each link's stanzas with their files and lines, go out. It
// does not execute the commands that stand there.
package ifupdown

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"lifeline/probes/boot/rootfs"
)

// File is the file that ifup(8) reads.
const File = "/etc/network/interfaces"

// maxSource is how deep files may include each other.
const maxSource = 8

// RunParts are the names that run-parts(8) executes, and that source-directory takes.
var RunParts = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// Option is one option of a stanza.
type Option struct {
	Name, Value, File string
	Line              int
}

// Stanza is one iface stanza.
type Stanza struct {
	Link, Family, Method string
	File                 string
	Line                 int
	Options              []Option
}

// Get is the value of an option, "" where it is not there.
func (s Stanza) Get(name string) string {
	for _, o := range s.Options {
		if o.Name == name {
			return o.Value
		}
	}
	return ""
}

// Interfaces are all stanzas of interfaces(5).
type Interfaces struct {
	Stanzas []Stanza
	// Brought are the links that are brought up at boot, and the line that says so:
	// "auto eth0", "allow-hotplug eth0". Patterns stand as they are written.
	Brought map[string]string
	// Files are those that were read.
	Files []string
}

// Read reads the stanzas of a tree; none where the file is missing.
func Read(t *rootfs.Tree) *Interfaces {
	i := &Interfaces{Brought: map[string]string{}}
	i.file(t, File, 0)
	return i
}

// Of are the stanzas of a link.
func (i *Interfaces) Of(link string) []Stanza {
	var out []Stanza
	for _, s := range i.Stanzas {
		if s.Link == link {
			out = append(out, s)
		}
	}
	return out
}

// Options are the options of those names in the stanzas of a link.
func (i *Interfaces) Options(link string, names ...string) []Option {
	var out []Option
	for _, s := range i.Of(link) {
		for _, o := range s.Options {
			for _, n := range names {
				if o.Name == n {
					out = append(out, o)
				}
			}
		}
	}
	return out
}

// BroughtUp is the line by which a link is brought up at boot, "" for none.
func (i *Interfaces) BroughtUp(link string) string {
	for pattern, line := range i.Brought {
		if ok, err := path.Match(strings.TrimPrefix(pattern, "/"), link); err == nil && ok {
			return line
		}
	}
	return ""
}

func (i *Interfaces) file(t *rootfs.Tree, file string, depth int) {
	text, err := t.ReadFile(file)
	if err != nil || depth > maxSource {
		return
	}
	i.Files = append(i.Files, file)
	open := false
	for n, line := range joinedLines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		switch key := words[0]; {
		case key == "iface":
			words = append(words, "", "", "")
			i.Stanzas = append(i.Stanzas, Stanza{Link: words[1], Family: words[2], Method: words[3], File: file, Line: n})
			open = true
		case key == "auto", strings.HasPrefix(key, "allow-"):
			open = false
			for _, link := range words[1:] {
				i.Brought[link] = key + " " + link
			}
		case key == "mapping", key == "no-auto-down", key == "no-scripts", key == "template", key == "rename":
			open = false
		case key == "source", key == "source-directory":
			for _, pattern := range words[1:] {
				for _, f := range sources(t, pattern, key == "source-directory", path.Dir(file)) {
					i.file(t, f, depth+1)
				}
			}
		case open:
			s := &i.Stanzas[len(i.Stanzas)-1]
			value := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), key))
			s.Options = append(s.Options, Option{key, value, file, n})
		}
	}
}

// sources are the files that source or source-directory name.
func sources(t *rootfs.Tree, pattern string, directory bool, dir string) []string {
	if !path.IsAbs(pattern) {
		pattern = path.Join(dir, pattern)
	}
	if directory {
		pattern = path.Join(pattern, "*")
	}
	return slices.DeleteFunc(t.Glob(pattern), func(f string) bool { return directory && !RunParts.MatchString(path.Base(f)) })
}

// joinedLines are the lines of a text, with those joined that end in a backslash, and the
// number of each one's first line.
func joinedLines(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		joined, first, number := "", 1, 0
		for line := range strings.Lines(text) {
			number++
			if joined == "" {
				first = number
			}
			line = strings.TrimRight(line, "\r\n")
			if rest, ok := strings.CutSuffix(line, `\`); ok {
				joined += rest + " "
				continue
			}
			if !yield(first, joined+line) {
				return
			}
			joined = ""
		}
		if joined != "" {
			yield(first, joined)
		}
	}
}
