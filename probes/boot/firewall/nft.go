package firewall

import (
	"fmt"
	"path"
	"strings"

	"lifeline/probes/boot/remark"
	"lifeline/probes/iptables/lex"
)

// maxIncludes bounds the files that an nft file leads to.
const maxIncludes = 256

// nft adds a load of an nft file with all that it includes. It is one transaction: where
// one of them is missing, nothing is loaded.
func (p *planner) nft(l Load, name string, by starter) {
	l.Names = append(l.Names, name)
	part, ok := p.part(name, by, l.Names)
	if !ok {
		return
	}
	files := []string{name}
	for i := 0; i < len(files) && len(files) < maxIncludes; i++ {
		text := part.Text
		if i > 0 {
			if text, ok = p.included(files[i], by, l.Names); !ok {
				return
			}
			l.Includes = append(l.Includes, Part{File: files[i], Text: text})
		}
		for _, name := range lex.NFTIncludes(text) {
			files = append(files, p.includes(name)...)
		}
	}
	if len(files) >= maxIncludes {
		p.Remarks.Add(remark.Opaque, "loader-not-understood", fmt.Sprintf("%s includes %d files or more: they are not all read", name, maxIncludes), l.Names...)
		return
	}
	l.Names = append(l.Names, files[1:]...)
	l.Parts = []Part{part}
	p.Loads = append(p.Loads, l)
}

// included is the text of an included file, where the starter finds one.
func (p *planner) included(name string, by starter, names []string) ([]byte, bool) {
	if s, hidden := by.hides(name); hidden {
		p.Remarks.Add(remark.Missed, "include-protecthome",
			fmt.Sprintf("%s loads nothing: %s=%s hides %s, which %s includes, from the unit", by.name, s.Key, s.Value, name, names[len(names)-1]),
			append(names, name, s.Key)...)
		return nil, false
	}
	text, ok := p.read(name)
	if !ok {
		p.Remarks.Add(remark.Missed, "include-missing", fmt.Sprintf("%s loads nothing: %s includes %s, which is missing", by.name, names[len(names)-1], name),
			append(names, name)...)
	}
	return text, ok
}

// includes are the files that an include names; a pattern may fit none.
func (r root) includes(name string) []string {
	if !path.IsAbs(name) && !strings.HasPrefix(name, "./") {
		name = path.Join("/etc", name) // nft's own include path
	}
	return r.tree.Glob(name)
}
