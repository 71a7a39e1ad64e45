package systemd

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"lifeline/probes/boot/rootfs"
)

// State is what a boot does with a unit.
type State int

// What a boot may do with a unit.
const (
	// Out: nothing that the boot reaches pulls it in.
	Out State = iota
	// Starts: it is started.
	Starts
	// Skipped: it is pulled in, and a condition of it does not hold.
	Skipped
	// Fails: it is pulled in, and an assertion of it does not hold.
	Fails
	// Dropped: it is pulled in, and a unit that conflicts with it wins.
	Dropped
	// Masked: it is pulled in, and its name is masked.
	Masked
	// Missing: it is pulled in, and no file defines it.
	Missing
	// Doubtful: whether it starts cannot be told.
	Doubtful
)

// Job is what a boot does with one unit, and why.
type Job struct {
	Unit  *Unit
	State State
	// By is the unit that pulls it in, and Through the link, the setting or the rule by
	// which it does; both are "" for the target of the boot.
	By, Through string
	// Why is the sentence that tells why it does not start.
	Why string
	// Names are the files, units and settings that Why rests on.
	Names []string
}

// Boot is what the next boot starts.
type Boot struct {
	// Target is the unit that default.target stands for.
	Target string
	// FirstBoot tells that presets are applied before (machine-id(5)).
	FirstBoot bool
	// Doubts are what may make it another boot than is told here.
	Doubts []Doubt

	jobs   map[string]*Job
	order  map[string][]string // made at the first question
	loader *loader
}

// Read tells what the next boot of a tree starts. The error is of a tree whose unit
// directories cannot be read.
func Read(t *rootfs.Tree) (*Boot, error) {
	gen, err := generate(t)
	if err != nil {
		return nil, err
	}
	cat, err := newCatalogue(t, gen.files())
	if err != nil {
		return nil, err
	}
	first, err := firstBoot(t)
	if err != nil {
		return nil, err
	}
	l := &loader{
		tree: t, cat: cat, units: map[string]*Unit{}, generated: gen.texts(), links: gen.links,
		maskedLinks: map[string]string{}, firstBoot: first, doubts: gen.doubts,
	}
	b := &Boot{FirstBoot: first, loader: l}
	if first {
		l.applyPresets()
	}
	b.start()
	b.Doubts = l.doubts
	return b, nil
}

// Job is what the boot does with the unit of a name.
func (b *Boot) Job(name string) Job {
	u := b.loader.load(name)
	if j, ok := b.jobs[u.Name]; ok {
		return *j
	}
	j := Job{Unit: u, State: Out}
	b.explainOut(&j)
	return j
}

// Starts tells whether a unit is started, as far as is known.
func (b *Boot) Starts(name string) bool { return b.Job(name).State == Starts }

// Started are the units that the boot starts, or may start, by their names.
func (b *Boot) Started() []Job {
	var out []Job
	for _, j := range b.jobs {
		if j.State == Starts || j.State == Doubtful {
			out = append(out, *j)
		}
	}
	slices.SortFunc(out, func(a, c Job) int { return strings.Compare(a.Unit.Name, c.Unit.Name) })
	return out
}

// pulled are all units that the boot pulls in, also those that do not start then.
func (b *Boot) pulled() []Job {
	var out []Job
	for _, j := range b.jobs {
		out = append(out, *j)
	}
	slices.SortFunc(out, func(a, c Job) int { return strings.Compare(a.Unit.Name, c.Unit.Name) })
	return out
}

// Units are the names of all units that the tree defines, masks or aliases.
func (b *Boot) Units() []string {
	var out []string
	for name := range b.loader.cat.where {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// explainOut tells why nothing pulls a unit in: it is masked, its link is, it is wanted
// by a target that the boot does not reach, or it is not enabled.
func (b *Boot) explainOut(j *Job) {
	u := j.Unit
	switch link := b.loader.maskedLinks[u.Name]; {
	case u.Masked:
		j.State, j.Why = Masked, fmt.Sprintf("%s is masked: %s", u.Name, b.maskedBy(u))
		j.Names = []string{u.Entry, "/dev/null"}
	case !u.Found():
		j.State, j.Why = Missing, "no file defines "+u.Name
	case link != "":
		j.Why = fmt.Sprintf("%s is not started: %s leads to /dev/null, which masks the dependency", u.Name, link)
		j.Names = []string{link, "/dev/null"}
	default:
		b.explainUnreached(j)
	}
}

func (b *Boot) explainUnreached(j *Job) {
	u := j.Unit
	for _, name := range u.Names {
		for _, dir := range b.loader.cat.dirs {
			for sub := range b.loader.cat.entries[dir] {
				target, ok := strings.CutSuffix(sub, ".wants")
				if !ok {
					target, ok = strings.CutSuffix(sub, ".requires")
				}
				link := path.Join(dir, sub, name)
				if _, err := b.loader.tree.Lstat(link); !ok || err != nil {
					continue
				}
				j.Names = []string{u.File, link, "default.target", target, b.Target}
				j.Why = fmt.Sprintf("%s is enabled for %s only (%s), and default.target, which is %s, does not reach that", u.Name, target, link, b.Target)
				return
			}
		}
	}
	j.Names = []string{u.File}
	j.Why = fmt.Sprintf("%s is not enabled: nothing that %s reaches pulls it in", u.Name, b.Target)
}

// firstBoot tells whether the next boot is a first one: the machine id is missing or
// "uninitialized" (machine-id(5)); an empty file is not.
func firstBoot(t *rootfs.Tree) (bool, error) {
	text, err := t.ReadFile("/etc/machine-id")
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return strings.TrimSpace(string(text)) == "uninitialized", err
}
