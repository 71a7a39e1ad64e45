package systemd

import "strings"

// Before tells whether one unit is up before another begins to start, by After= and
// Before= of the units that the boot starts and by the dependencies that units have by
// default (systemd.special(7), bootup(7)).
func (b *Boot) Before(first, then string) bool {
	a, z := b.loader.load(first), b.loader.load(then)
	order := b.ordering()
	seen := map[string]bool{a.Name: true}
	for queue := []string{a.Name}; len(queue) > 0; {
		at := queue[0]
		queue = queue[1:]
		for _, next := range order[at] {
			if next == z.Name {
				return true
			}
			if !seen[next] {
				seen[next] = true
				queue = append(queue, next)
			}
		}
	}
	return false
}

// ordering leads from each unit that starts to those that wait for it.
func (b *Boot) ordering() map[string][]string {
	if b.order != nil {
		return b.order
	}
	b.order = map[string][]string{}
	add := func(first, then string) {
		f, t := b.loader.load(first).Name, b.loader.load(then).Name
		if b.jobs[f] != nil && b.jobs[t] != nil {
			b.order[f] = append(b.order[f], t)
		}
	}
	for _, j := range b.jobs {
		u := j.Unit
		for _, w := range u.Words("Unit", "After") {
			add(w.Text, u.Name)
		}
		for _, w := range u.Words("Unit", "Before") {
			add(u.Name, w.Text)
		}
		for _, d := range defaultOrder(u) {
			add(d[0], d[1])
		}
		if strings.HasSuffix(u.Name, ".target") {
			for _, e := range b.loader.pulls(u) {
				if dep := b.loader.load(e.name); dep.Bool("Unit", "DefaultDependencies", true) && !declaresAfter(dep, u) {
					add(dep.Name, u.Name) // a target waits for what it pulls in
				}
			}
		}
	}
	return b.order
}

// declaresAfter tells whether a unit waits for a target that pulls it in: then the
// target does not wait for the unit.
func declaresAfter(u, target *Unit) bool {
	for _, w := range u.Words("Unit", "After") {
		if w.Text == target.Name {
			return true
		}
	}
	return false
}

// defaultOrder are the pairs (first, then) that a type of unit has by default.
func defaultOrder(u *Unit) [][2]string {
	if !u.Bool("Unit", "DefaultDependencies", true) {
		return nil
	}
	switch {
	case strings.HasSuffix(u.Name, ".service"):
		return [][2]string{{"sysinit.target", u.Name}, {"basic.target", u.Name}}
	case strings.HasSuffix(u.Name, ".socket"):
		return [][2]string{{"sysinit.target", u.Name}, {u.Name, "sockets.target"}}
	case strings.HasSuffix(u.Name, ".timer"):
		return [][2]string{{"sysinit.target", u.Name}, {u.Name, "timers.target"}}
	case strings.HasSuffix(u.Name, ".path"):
		return [][2]string{{"sysinit.target", u.Name}, {u.Name, "paths.target"}}
	}
	return nil
}
