package firewall

import (
	"fmt"
	"path"
	"strings"

	"lifeline/probes/boot/command"
	"lifeline/probes/boot/remark"
)

const interfacesFile = "/etc/network/interfaces"

// interfaces takes the commands that ifup(8) executes for the link: those of
// interfaces(5), and the scripts of if-*.d. One that fails before the link is up leaves it
// unconfigured; one after that leaves the address.
func (p *planner) interfaces() {
	if !p.boot.Starts("networking.service") && !p.boot.Starts("ifup@"+p.link+".service") {
		return
	}
	if !p.exists(interfacesFile) {
		return
	}
	by := starter{name: "ifup " + p.link, unit: "networking.service", file: interfacesFile, late: true}
	for _, phase := range []struct {
		options []string
		dir     string
		vital   bool
	}{
		{[]string{"pre-up"}, "/etc/network/if-pre-up.d", true},
		{[]string{"up", "post-up"}, "/etc/network/if-up.d", false},
	} {
		by.vital = phase.vital
		for _, o := range p.stanzaOptions(phase.options) {
			for _, e := range command.Shell(p.tree, o.value, o.file, o.line) {
				p.effect(e, by)
			}
			p.vitalScript(o, by)
		}
		p.hooks(phase.dir, by)
	}
	p.savedOnDown()
}

// hooks are the scripts that run-parts(8) executes for each link.
func (p *planner) hooks(dir string, by starter) {
	names, err := p.tree.ReadDir(dir)
	if err != nil {
		return
	}
	for _, n := range names {
		file := path.Join(dir, n)
		st, err := p.tree.Stat(file)
		if err != nil || !runParts.MatchString(n) || !st.Executable() {
			if err == nil && st.Mode.IsRegular() {
				p.missedScript(file, fmt.Sprintf("%s is not executed: its name or its mode is not one that run-parts takes", file))
			}
			continue
		}
		by.file = file
		for _, e := range command.Exec(p.tree, []string{file}) {
			p.effect(e, by)
		}
	}
}

// missedScript tells of a script that would change the packet filter and is not executed.
func (p *planner) missedScript(file, text string) {
	for _, e := range command.Shell(p.tree, "/bin/sh "+file, file, 1) {
		if e.Kind != command.Manager || e.Tool != "" {
			p.Remarks.Add(remark.Missed, "loader-not-executable", text, file)
			return
		}
	}
}

// vitalScript tells of a command of pre-up that the tree does not have: it fails.
func (p *planner) vitalScript(o option, by starter) {
	words := strings.Fields(o.value)
	if !by.vital || len(words) == 0 || !path.IsAbs(words[0]) || strings.ContainsAny(o.value, "|;&") {
		return
	}
	if ok, err := p.tree.Exists(words[0]); err == nil && !ok {
		p.Remarks.Add(remark.Cut, "loader-failure-stops-network",
			fmt.Sprintf("%s line %d: %s is missing, so that pre-up fails and the link is not configured", o.file, o.line, words[0]), o.file, words[0])
	}
}

// option is one option of the link's stanzas.
type option struct {
	value, file string
	line        int
}

// stanzaOptions are the options of those names in the stanzas of the link.
func (p *planner) stanzaOptions(names []string) []option {
	var out []option
	p.stanzas(interfacesFile, 0, func(link, name, value, file string, line int) {
		for _, n := range names {
			if link == p.link && n == name {
				out = append(out, option{value, file, line})
			}
		}
	})
	return out
}

// maxSource is how deep files of interfaces(5) may include each other.
const maxSource = 8

// stanzas calls back for every option of every iface stanza.
func (p *planner) stanzas(file string, depth int, each func(link, name, value, file string, line int)) {
	text, ok := p.read(file)
	if !ok || depth > maxSource {
		return
	}
	link := ""
	for n, line := range joinedLines(string(text)) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		switch words[0] {
		case "iface":
			link = ""
			if len(words) > 1 {
				link = words[1]
			}
		case "auto", "mapping", "no-auto-down", "no-scripts", "template", "rename":
			link = ""
		case "source", "source-directory":
			for _, w := range words[1:] {
				for _, f := range p.sources(w, words[0] == "source-directory", path.Dir(file)) {
					p.stanzas(f, depth+1, each)
				}
			}
		default:
			if strings.HasPrefix(words[0], "allow-") {
				link = ""
			} else if link != "" {
				each(link, words[0], strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), words[0])), file, n)
			}
		}
	}
}

// sources are the files that source or source-directory of interfaces(5) name.
func (p *planner) sources(pattern string, directory bool, dir string) []string {
	if !path.IsAbs(pattern) {
		pattern = path.Join(dir, pattern)
	}
	if directory {
		pattern = path.Join(pattern, "*")
	}
	if !strings.ContainsAny(pattern, "*?[") {
		return []string{pattern}
	}
	at, last := path.Split(pattern)
	names, err := p.tree.ReadDir(at)
	if err != nil {
		return nil
	}
	var out []string
	for _, n := range names {
		if ok, err := path.Match(last, n); err == nil && ok && (!directory || runParts.MatchString(n)) && !strings.HasPrefix(n, ".") {
			out = append(out, path.Join(at, n))
		}
	}
	return out
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

// savedOnDown finds iptables-save in what is executed when the link goes down.
func (p *planner) savedOnDown() {
	for _, o := range p.stanzaOptions([]string{"down", "pre-down", "post-down"}) {
		tool, file, ok := strings.Cut(o.value, ">")
		if !ok || !strings.Contains(tool, "tables-save") {
			continue
		}
		s := SaveOnStop{File: strings.TrimSpace(strings.TrimLeft(file, "> ")), Setting: fmt.Sprintf("%s line %d", o.file, o.line)}
		if strings.Contains(tool, "ip6tables-save") {
			s.Language = IP6Tables
		}
		p.SaveOnStop = append(p.SaveOnStop, s)
	}
}
