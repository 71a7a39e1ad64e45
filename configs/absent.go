package configs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lifeline/watchdog/printable"
	"lifeline/watchdog/spelling"
)

// mostNamed is how many links a warning names.
const mostNamed = 8

// Absent gives the links that have a table and are not among there, which are
// all links of this host. One that is absent may come later.
func (c Config) Absent(there []string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(c.Link)) {
		if name != "default" && !slices.Contains(there, name) {
			out = append(out, name)
		}
	}
	return out
}

// AbsentLink says what a link's table serves that is not there, and what to do.
func AbsentLink(name string, there []string) string {
	var links []string
	for _, l := range there {
		if l != "lo" {
			links = append(links, printable.String(l)) // the kernel takes any bytes for a name
		}
	}
	slices.Sort(links)
	near := slices.Clone(links)
	slices.SortStableFunc(near, func(a, b string) int { return spelling.Distance(name, a) - spelling.Distance(name, b) })
	hint := ""
	if len(near) > 0 && spelling.Distance(name, near[0]) <= 2 {
		hint = fmt.Sprintf(": did you mean \"%s\"?", near[0])
	}
	has := "none"
	if n := len(links); n > mostNamed {
		has = fmt.Sprintf("%s and %d more", strings.Join(links[:mostNamed], ", "), n-mostNamed)
	} else if n > 0 {
		has = strings.Join(links, ", ")
	}
	return fmt.Sprintf("this host has no link %q, so its settings serve nothing until one comes%s (there: %s)", name, hint, has)
}

// WarnAbsent tells which tables of a file serve no link of this host, and where
// they stand.
func WarnAbsent(file string, there []string) ([]*Error, error) {
	b, err := readFile(file)
	if err != nil {
		return nil, err
	}
	c, err := Parse(file, b)
	if err != nil {
		return nil, err
	}
	places := keyPlaces(b)
	var out []*Error
	for _, name := range c.Absent(there) {
		key := "link." + name
		at, ok := places[key]
		for k, p := range places { // a table may be there by its keys alone
			if !ok && strings.HasPrefix(k, key+".") && (at.Line == 0 || p.Line < at.Line) {
				at = p
			}
		}
		out = append(out, &Error{file, at.Line, at.Column, key, "warning: " + AbsentLink(name, there)})
	}
	for i, r := range c.Receivers {
		if r.Link != "" && !slices.Contains(there, r.Link) {
			at := places[fmt.Sprintf("receiver[%d].link", i)]
			out = append(out, &Error{file, at.Line, at.Column, "receiver.link",
				fmt.Sprintf("warning: this host has no link %q, so receiver %q is told nothing until one comes", r.Link, r.Name)})
		}
	}
	return out, nil
}
