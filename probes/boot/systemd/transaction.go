package systemd

import (
	"fmt"
	"maps"
	"path"
	"slices"
)

// start finds the transaction of the boot: everything that the target reaches, without
// what conflicts drop. A unit that is dropped takes what it alone pulled in along, so
// that the rest is found anew each time.
func (b *Boot) start() {
	target := b.loader.load("default.target")
	b.Target = target.Name
	if !target.Found() {
		b.loader.doubts = append(b.loader.doubts, Doubt{Path: "/etc/systemd/system/default.target",
			Text: "default.target is not defined or masked: the boot ends in rescue.target or nowhere"})
		return
	}
	dropped, mutual := map[string]*Job{}, map[string]string{}
	for {
		b.jobs = maps.Clone(dropped)
		b.reach(target)
		loser, winner := b.conflict(target.Name)
		if loser == nil {
			break
		}
		dropped[loser.Unit.Name] = loser
		if b.declares(loser.Unit, winner) {
			mutual[loser.Unit.Name], mutual[winner.Name] = winner.Name, loser.Unit.Name
		}
	}
	for name, j := range b.jobs {
		if other, ok := mutual[name]; ok {
			j.State = Doubtful
			j.Why = fmt.Sprintf("%s and %s conflict with each other: which of them starts is not determined", name, other)
			j.Names = []string{name, other, "Conflicts="}
		}
		b.judgeConditions(j)
	}
}

// reach pulls in all that a unit wants or requires, and what those do.
func (b *Boot) reach(anchor *Unit) {
	b.jobs[anchor.Name] = &Job{Unit: anchor, State: Starts}
	for queue := []*Unit{anchor}; len(queue) > 0; {
		u := queue[0]
		queue = queue[1:]
		for _, e := range b.loader.pulls(u) {
			dep := b.loader.load(e.name)
			if old, ok := b.jobs[dep.Name]; ok {
				if old.State == Missing || old.State == Masked || old.State == Dropped {
					b.requireFailed(u, e, old)
				}
				continue
			}
			j := &Job{Unit: dep, State: Starts, By: u.Name, Through: e.through}
			b.jobs[dep.Name] = j
			switch {
			case dep.Masked:
				j.State, j.Why = Masked, fmt.Sprintf("%s is masked: %s", dep.Name, b.maskedBy(dep))
				j.Names = []string{dep.Entry, "/dev/null"}
			case !dep.Found():
				j.State, j.Why = Missing, fmt.Sprintf("%s is wanted by %s, and no file defines it", dep.Name, u.Name)
			default:
				queue = append(queue, dep)
				continue
			}
			b.requireFailed(u, e, j)
		}
	}
}

func (b *Boot) maskedBy(u *Unit) string {
	if target, err := b.loader.tree.Readlink(u.Entry); err == nil {
		return u.Entry + " -> " + target
	}
	return u.Entry + " is empty"
}

// requireFailed makes a unit doubtful that requires what cannot be started: versions of
// systemd differ in whether they start it then.
func (b *Boot) requireFailed(u *Unit, e edge, failed *Job) {
	j := b.jobs[u.Name]
	if !e.required || j == nil || j.State != Starts || j.By == "" {
		return
	}
	j.State = Doubtful
	j.Why = fmt.Sprintf("%s requires %s, which does not start", u.Name, failed.Unit.Name)
	j.Names = append([]string{failed.Unit.Name}, failed.Names...)
}

// conflict finds a unit whose start is dropped: of two that are pulled in, the one that
// the other declares a conflict with (src/core/transaction.c, delete_one_unmergeable_job).
func (b *Boot) conflict(anchor string) (loser *Job, winner *Unit) {
	for _, j := range b.pulled() {
		if !j.pending() {
			continue
		}
		for _, w := range j.Unit.Words("Unit", "Conflicts") {
			other := b.loader.load(w.Text)
			o, ok := b.jobs[other.Name]
			if !ok || !o.pending() || other.Name == j.Unit.Name || other.Name == anchor {
				continue
			}
			return &Job{
				Unit: other, State: Dropped, By: o.By, Through: o.Through,
				Why:   fmt.Sprintf("%s has Conflicts=%s: systemd starts the former and drops the latter without a word", j.Unit.Name, w.Text),
				Names: []string{j.Unit.Name, "Conflicts=" + w.Text, w.At.File},
			}, j.Unit
		}
	}
	return nil, nil
}

// pending tells whether the unit's start is part of the transaction.
func (j *Job) pending() bool { return j.State == Starts || j.State == Doubtful }

func (b *Boot) declares(u, other *Unit) bool {
	return slices.ContainsFunc(u.Words("Unit", "Conflicts"), func(w Word) bool {
		return b.loader.load(w.Text).Name == other.Name
	})
}

// judgeConditions takes out what does not start although it is pulled in.
func (b *Boot) judgeConditions(j *Job) {
	if j.State != Starts {
		return
	}
	for _, kind := range []string{"Condition", "Assert"} {
		holds, s := b.loader.conditions(j.Unit, kind)
		if holds == Yes {
			continue
		}
		j.Names = append(j.Names, s.File, s.Key, s.Value)
		switch {
		case holds == Unknown:
			j.State = Doubtful
			j.Why = fmt.Sprintf("%s starts only if %s holds", j.Unit.Name, s.describe())
		case kind == "Assert":
			j.State = Fails
			j.Why = fmt.Sprintf("%s fails: %s does not hold", j.Unit.Name, s.describe())
		default:
			j.State = Skipped
			j.Why = fmt.Sprintf("%s does not start: %s does not hold", j.Unit.Name, s.describe())
		}
		return
	}
}

// edge is a dependency that pulls a unit in.
type edge struct {
	name, through string
	required      bool
}

// pulls are the dependencies by which a unit pulls others in: settings, links in
// directories of its names, and what generators and presets add.
func (l *loader) pulls(u *Unit) []edge {
	var out []edge
	for _, key := range []string{"Requires", "BindsTo", "Requisite", "Wants", "Upholds"} {
		for _, w := range u.Words("Unit", key) {
			out = append(out, edge{w.Text, fmt.Sprintf("%s=%s in %s line %d", key, w.Text, w.At.File, w.At.Line),
				key != "Wants" && key != "Upholds"})
		}
	}
	for _, dir := range []string{".requires", ".wants", ".upholds"} {
		out = append(out, l.linked(u, dir)...)
	}
	for _, name := range u.Names {
		out = append(out, l.links[name]...)
	}
	return out
}

// linked are the entries of the directories NAME.wants and the like. The name of the
// entry counts, wherever it leads, but one that is empty or /dev/null masks the
// dependency, also in the directories after its own.
func (l *loader) linked(u *Unit, kind string) []edge {
	seen := map[string]bool{}
	var out []edge
	for _, name := range u.Names {
		for _, entry := range l.listed(name + kind) {
			dep := path.Base(entry)
			if seen[dep] || !isUnitName(dep) {
				continue
			}
			seen[dep] = true
			null, err := l.leadsToNull(entry)
			l.doubt(entry, err)
			if null {
				l.maskedLinks[l.cat.canonical(dep)] = entry
				continue
			}
			out = append(out, edge{dep, entry, kind == ".requires"})
		}
	}
	return out
}
