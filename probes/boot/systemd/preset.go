package systemd

import (
	"path"
	"strings"
)

// presetDirs are where presets are kept (systemd.preset(5)).
var presetDirs = []string{
	"/etc/systemd/system-preset", "/usr/local/lib/systemd/system-preset",
	"/lib/systemd/system-preset", "/usr/lib/systemd/system-preset",
}

// presetRule is a line of a preset file.
type presetRule struct {
	action, pattern string
}

// presets are the rules in the order in which the first that fits counts: files by
// their names, and of one name the first directory's.
func (l *loader) presets() []presetRule {
	files, err := l.tree.FirstByName(presetDirs, ".preset")
	l.doubt("presets", err)
	var out []presetRule
	for _, f := range files {
		text, err := l.tree.ReadFile(f)
		l.doubt(f, err)
		for line := range strings.Lines(string(text)) {
			if w := strings.Fields(line); len(w) >= 2 && !strings.HasPrefix(w[0], "#") && !strings.HasPrefix(w[0], ";") {
				out = append(out, presetRule{w[0], w[1]})
			}
		}
	}
	return out
}

// applyPresets enables what a first boot enables: every unit that can be enabled and
// that no preset disables.
func (l *loader) applyPresets() {
	rules := l.presets()
	for name := range l.cat.fragment {
		if l.cat.fragment[name] == "" || strings.Contains(name, "@.") || !presetEnables(rules, name) {
			continue
		}
		l.enable(l.load(name), "presets of a first boot")
	}
}

func presetEnables(rules []presetRule, name string) bool {
	for _, r := range rules {
		if ok, err := path.Match(r.pattern, name); err == nil && ok {
			return r.action == "enable"
		}
	}
	return true
}

// enable adds the links that `systemctl enable` makes.
func (l *loader) enable(u *Unit, through string) {
	for _, key := range []string{"WantedBy", "RequiredBy", "UpheldBy"} {
		for _, w := range u.Words("Install", key) {
			l.links[w.Text] = append(l.links[w.Text], edge{u.Name, through, key == "RequiredBy"})
		}
	}
}
