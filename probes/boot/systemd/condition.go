package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Truth is what is known of a condition at the next boot.
type Truth int

// What can be known.
const (
	Unknown Truth = iota
	No
	Yes
)

func truth(b bool) Truth {
	if b {
		return Yes
	}
	return No
}

func (t Truth) not() Truth {
	switch t {
	case Yes:
		return No
	case No:
		return Yes
	}
	return Unknown
}

// conditions judges the Condition... or Assert... settings of a unit (systemd.unit(5)):
// all must hold, and of those marked with "|" one. It returns the setting that decides
// where they do not hold.
func (l *loader) conditions(u *Unit, kind string) (Truth, Setting) {
	verdict, decides := Yes, Setting{}
	triggered, triggers := No, Setting{}
	anyTrigger := false
	for _, s := range u.conditionSettings(kind) {
		value := s.Value
		value, trigger := strings.CutPrefix(value, "|")
		value, negate := strings.CutPrefix(strings.TrimLeft(value, " "), "!")
		holds := l.condition(strings.TrimPrefix(s.Key, kind), u.expand(strings.TrimLeft(value, " ")))
		if negate {
			holds = holds.not()
		}
		switch {
		case trigger:
			anyTrigger, triggers = true, s
			if holds == Yes || holds == Unknown && triggered == No {
				triggered = holds
			}
		case holds == No:
			return No, s
		case holds == Unknown:
			verdict, decides = Unknown, s
		}
	}
	if anyTrigger && triggered != Yes && (triggered == No || verdict == Yes) {
		return triggered, triggers
	}
	return verdict, decides
}

// conditionSettings are those of one kind, of any type; an empty assignment clears
// all of the kind.
func (u *Unit) conditionSettings(kind string) []Setting {
	var out []Setting
	for _, s := range u.settings {
		switch {
		case s.Section != "Unit" || !strings.HasPrefix(s.Key, kind):
		case s.Value == "":
			out = out[:0]
		default:
			out = append(out, s)
		}
	}
	return out
}

// condition is what is known of one test. Those of the machine (its hardware,
// security, load) are not asked: the tree may be of another one.
func (l *loader) condition(test, value string) Truth {
	switch test {
	case "PathExists":
		return l.exists(value)
	case "PathExistsGlob":
		return l.glob(value)
	case "PathIsDirectory":
		return l.stat(value, func(m fs.FileMode, _ int64) bool { return m.IsDir() })
	case "PathIsSymbolicLink":
		st, err := l.tree.Lstat(value)
		return l.known(value, err, st.Mode&fs.ModeSymlink != 0)
	case "FileNotEmpty":
		return l.stat(value, func(m fs.FileMode, size int64) bool { return m.IsRegular() && size > 0 })
	case "FileIsExecutable":
		return l.stat(value, func(m fs.FileMode, _ int64) bool { return m.IsRegular() && m&0o111 != 0 })
	case "DirectoryNotEmpty":
		names, err := l.tree.ReadDir(value)
		return l.known(value, err, len(names) > 0)
	case "FirstBoot":
		if want, ok := parseBool(value); ok {
			return truth(want == l.firstBoot)
		}
	case "Virtualization":
		if value == "container" {
			return No // what is checked before its reboot is a machine
		}
	case "Capability":
		return Yes // the manager of a machine has them all
	case "User", "Group":
		return truth(value == "root" || value == "0" || value == "@system")
	}
	return Unknown
}

// volatile are directories whose content at the next boot is not that of the tree.
var volatile = []string{"/run/", "/var/run/", "/proc/", "/sys/", "/dev/", "/tmp/"}

func (l *loader) exists(name string) Truth {
	for _, v := range volatile {
		if strings.HasPrefix(name+"/", v) {
			return Unknown
		}
	}
	ok, err := l.tree.Exists(name)
	return l.known(name, err, ok)
}

func (l *loader) stat(name string, holds func(m fs.FileMode, size int64) bool) Truth {
	if t := l.exists(name); t != Yes {
		return t
	}
	st, err := l.tree.Stat(name)
	return l.known(name, err, holds(st.Mode, st.Size))
}

// known is the truth of a test that looked at a path; what cannot be looked at is a
// doubt, and what is not there does not hold.
func (l *loader) known(name string, err error, holds bool) Truth {
	if err == nil {
		return truth(holds)
	}
	l.doubt(name, err)
	if errors.Is(err, fs.ErrNotExist) {
		return No
	}
	return Unknown
}

// glob tells whether a pattern fits anything, with wildcards in the last part alone.
func (l *loader) glob(pattern string) Truth {
	dir, last := path.Split(pattern)
	if strings.ContainsAny(dir, "*?[") {
		return Unknown
	}
	names, err := l.tree.ReadDir(dir)
	if err != nil {
		return l.known(dir, err, false)
	}
	for _, n := range names {
		if ok, err := path.Match(last, n); err != nil {
			return Unknown
		} else if ok {
			return Yes
		}
	}
	return No
}

// describe is a setting as it is written, with where it stands.
func (s Setting) describe() string {
	return fmt.Sprintf("%s=%s (%s line %d)", s.Key, s.Value, s.File, s.Line)
}
