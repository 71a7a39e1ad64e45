package rsyncd

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"lifeline/probes/rsync/cmdline"
)

// Module is one [section] of rsyncd.conf(5), or its global part.
type Module struct {
	Name      string
	Path      string
	Timeout   time.Duration // 0 for none
	ReadOnly  bool
	WriteOnly bool
}

// Config is what is used of an rsyncd.conf.
type Config struct {
	Modules []Module
	Global  Module
}

const (
	maxIncludes = 64   // files, for &include and &merge may form a circle
	maxModules  = 4096 // of a configuration; each study looks at all of them
)

// configParser reads rsyncd.conf(5).
type configParser struct {
	read    func(name string) ([]byte, error)
	list    func(dir string) ([]string, error)
	config  Config
	byName  map[string]int // index in config.Modules
	current int            // module that parameters go to, -1 for the global part
	files   int
}

// parseConfig reads an rsyncd.conf and what it includes. Modules inherit the
// global parameters that stand before them. read and list get names as they
// stand in the configuration.
func parseConfig(name string, read func(string) ([]byte, error), list func(string) ([]string, error)) (Config, error) {
	p := configParser{read: read, list: list, byName: map[string]int{}, current: -1}
	p.config.Global.ReadOnly = true // rsyncd.conf(5): "The default is for all modules to be read only"
	err := p.file(name)
	return p.config, err
}

func (p *configParser) file(name string) error {
	if p.files++; p.files > maxIncludes {
		return fmt.Errorf("%q: more than %d files", name, maxIncludes)
	}
	text, err := p.read(name)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	var line []byte
	for lines.Scan() {
		part := bytes.TrimSpace(lines.Bytes())
		before, more := bytes.CutSuffix(part, []byte("\\"))
		line = append(line, before...)
		if more {
			continue
		}
		if err := p.line(name, string(line)); err != nil {
			return err
		}
		line = line[:0]
	}
	return errors.Join(lines.Err(), p.line(name, string(line)))
}

// line takes one logical line. What is not understood does not matter here.
func (p *configParser) line(file, line string) error {
	switch {
	case line == "" || line[0] == '#' || line[0] == ';':
		return nil
	case line[0] == '&':
		return p.directive(file, line)
	case line[0] == '[':
		if end := strings.IndexByte(line, ']'); end > 0 {
			return p.section(file, strings.TrimSpace(line[1:end]))
		}
		return nil
	}
	key, value, ok := strings.Cut(line, "=")
	if ok {
		p.set(key, strings.TrimSpace(value))
	}
	return nil
}

func (p *configParser) section(file, name string) error {
	if strings.EqualFold(name, "global") {
		p.current = -1
		return nil
	}
	at, known := p.byName[name]
	if !known {
		if at = len(p.config.Modules); at >= maxModules {
			return fmt.Errorf("%q: more than %d modules", file, maxModules)
		}
		m := p.config.Global
		m.Name = name
		p.config.Modules = append(p.config.Modules, m)
		p.byName[name] = at
	}
	p.current = at
	return nil
}

// directive follows &include (whose globals do not come back) and &merge, of
// a file or of all *.conf or *.inc of a directory.
func (p *configParser) directive(file, line string) error {
	word, name, ok := strings.Cut(line, " ")
	if !ok {
		return nil
	}
	name = strings.TrimSpace(name)
	if !path.IsAbs(name) {
		name = path.Join(path.Dir(file), name)
	}
	suffix := ".conf"
	if word == "&merge" {
		suffix = ".inc"
	} else if word != "&include" {
		return nil
	}
	names, err := p.list(name)
	switch {
	case err != nil && errors.Is(err, fs.ErrNotExist):
		return err
	case err != nil:
		names = []string{name}
	default:
		names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasSuffix(n, suffix) })
		slices.Sort(names)
		for i := range names {
			names[i] = path.Join(name, names[i])
		}
	}
	global, current := p.config.Global, p.current
	for _, n := range names {
		if err := p.file(n); err != nil {
			return err
		}
	}
	if word == "&include" {
		p.config.Global, p.current = global, current
	}
	return nil
}

// set takes one parameter. Blanks and case in its name do not count.
func (p *configParser) set(key, value string) {
	m := &p.config.Global
	if p.current >= 0 {
		m = &p.config.Modules[p.current]
	}
	m.set(key, value)
}

func (m *Module) set(key, value string) {
	key = strings.Map(func(r rune) rune {
		if r == ' ' || r == '\t' || r == '_' || r == '-' {
			return -1
		}
		return r
	}, strings.ToLower(key))
	switch key {
	case "path":
		m.Path = path.Clean(value)
	case "timeout":
		m.Timeout = cmdline.ParseSeconds(value)
	case "readonly":
		m.ReadOnly = parseBool(value, m.ReadOnly)
	case "writeonly":
		m.WriteOnly = parseBool(value, m.WriteOnly)
	}
}

// withParams applies a daemon's --dparam options: they are global defaults, so they
// hold for every module that says nothing else.
func (c Config) withParams(params []string) Config {
	var least time.Duration
	for _, p := range params {
		if key, value, ok := strings.Cut(p, "="); ok {
			over := Module{}
			over.set(key, value)
			least = cmdline.Shorter(least, over.Timeout)
		}
	}
	if least == 0 {
		return c
	}
	c.Modules = slices.Clone(c.Modules)
	for i := range c.Modules {
		c.Modules[i].Timeout = cmdline.Shorter(c.Modules[i].Timeout, least)
	}
	return c
}

func parseBool(s string, otherwise bool) bool {
	switch strings.ToLower(s) {
	case "yes", "true", "1":
		return true
	case "no", "false", "0":
		return false
	}
	return otherwise
}

// ModuleAt finds the module that a process works in by its directory: the one
// with the longest path above it. Where modules overlap, any of them may be
// the one: read only, write only and the timeout are then what all agree on,
// and two of the same path give no name.
func (c Config) ModuleAt(dir string) (Module, bool) {
	var (
		best  Module
		found bool
	)
	for _, m := range c.Modules {
		root, _, variable := strings.Cut(m.Path, "%")
		if variable {
			root = path.Dir(root + "x")
		}
		if m.Path == "" || !below(dir, root) {
			continue
		}
		if !found {
			best, found = m, true
			continue
		}
		if len(m.Path) == len(best.Path) {
			best.Name = ""
		} else if len(m.Path) > len(best.Path) {
			best.Name, best.Path = m.Name, m.Path
		}
		best.ReadOnly = best.ReadOnly && m.ReadOnly
		best.WriteOnly = best.WriteOnly && m.WriteOnly
		best.Timeout = cmdline.Shorter(best.Timeout, m.Timeout)
	}
	return best, found
}

// below says whether dir is root or lies in it.
func below(dir, root string) bool {
	if root == "/" {
		return strings.HasPrefix(dir, "/")
	}
	rest, ok := strings.CutPrefix(dir, root)
	return ok && (rest == "" || rest[0] == '/')
}
