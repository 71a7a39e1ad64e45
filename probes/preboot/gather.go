package preboot

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"time"

	"lifeline/probes/iptables"
)

// gathered is all that a check rests on.
type gathered struct {
	given
	files []*ruleFile
	// root is what the files of a description, and nft includes, must lie inside.
	root    folder
	names   iptables.Names
	caveats map[string][]iptables.Assumption
	notes   []string
	// leftOut is evidence that the question does without.
	leftOut []string
	// memory bounds the kernel memory that the files may ask for, in bytes.
	memory uint64
	// saved says that the files are the usual ones of this machine.
	saved bool
}

// checker is Check with its surroundings: the machine, the clock, the way to
// a scratch namespace.
type checker struct {
	machine machine
	now     func() time.Time
	// stages are the ways to a rehearsal, best first.
	stages func(trusted bool) []stageOpener
	// root is where the usual files of this machine are.
	root string
	// memory is that of gathered; 0 means mostKernelMemory.
	memory uint64
}

// gather reads files and evidence. An error is a *UsageError where the caller
// is at fault.
func (c checker) gather(o Options) (*gathered, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	o = o.once()
	g := &gathered{given: given{options: o}, root: everywhere, names: c.machine.names(), memory: cmp.Or(c.memory, mostKernelMemory)}
	var err error
	switch {
	case o.HostFile != "":
		err = g.describedBy(o.HostFile)
	case len(o.Links) > 0:
		g.host = iptables.Host{Links: o.Links}
	default:
		err = g.thisMachine(c)
	}
	if err != nil {
		return nil, err
	}
	if !g.here {
		if err := o.missing(); err != nil {
			return nil, err
		}
	}
	g.host = complete(g.host, o.Iface, o.Dst)
	for _, l := range g.host.Links {
		if err := checkLinkName(l.Name); err != nil {
			return nil, &UsageError{err}
		}
	}
	g.fillPorts(c)
	g.backend, g.howBack = o.Backend, "as given"
	if g.backend == "" {
		g.backend, g.howBack = c.machine.backend()
	}
	return g, g.readFiles(c)
}

// describedBy takes the host from a description; the files that it names are
// relative to it.
func (g *gathered) describedBy(path string) error {
	data, err := readFile(path)
	if err != nil {
		return usagef("host description: %w", named(path, err))
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return usagef("host description: %s is empty: `lifeline preboot --describe-host` writes one", path)
	}
	if g.host, err = iptables.DecodeHost(path, data); err != nil {
		return &UsageError{err}
	}
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("host description: %w", err)
	}
	g.root = folder(dir)
	for _, p := range []*string{&g.host.IPSets, &g.host.Rules4OtherBackend, &g.host.Rules6OtherBackend, &g.host.ARPTables} {
		*p = g.root.named(*p)
	}
	for i := range g.host.NFT {
		g.host.NFT[i] = g.root.named(g.host.NFT[i])
	}
	return nil
}

// thisMachine describes the host that we run on, unless the question is
// plainly about another one: a link or an address that this one does not have.
func (g *gathered) thisMachine(c checker) error {
	o := g.options
	d, err := c.machine.describe()
	if err != nil {
		return fmt.Errorf("describe this machine: %w", err)
	}
	hasLink := o.Iface == "" || slices.ContainsFunc(d.host.Links, func(l iptables.Link) bool { return l.Name == o.Iface })
	hasDst := !slices.ContainsFunc(o.Dst, func(a netip.Addr) bool { return !isLocal(d.host, a) })
	if !hasLink || !hasDst {
		return nil // the bare description that complete makes
	}
	g.here, g.host, g.passing, g.caveats = true, d.host, d.passing, d.caveats
	if len(o.Mgmt) == 0 {
		return g.findSources(c)
	}
	return nil
}

// findSources looks for ssh sessions, remembers them, and takes what was
// remembered. Where sessions cannot be seen, memory has to do.
func (g *gathered) findSources(c checker) error {
	old, err := recall(g.options.StateDir)
	if err != nil {
		g.notes = append(g.notes, err.Error())
	}
	e, err := c.machine.sessions()
	if err != nil {
		g.notes = append(g.notes, fmt.Sprintf("ssh sessions cannot be seen: %v", err))
	}
	at := c.now()
	all, forgotten := remember(old, e.list, at)
	if len(e.list) > 0 {
		if err := keep(g.options.StateDir, all); err != nil {
			g.notes = append(g.notes, err.Error())
		}
	}
	abroad := func(list []sighting) []sighting {
		return slices.DeleteFunc(slices.Clone(list), func(s sighting) bool { return isLocal(g.host, s.Src) })
	}
	asked, rest := relevant(abroad(all), at)
	g.seen, g.howSeen = asked, howSeen(asked, at)
	g.leftOut = append(tellLeftOut(append(abroad(forgotten), rest...), asked), e.leftOut...)
	g.ports, g.howPort = e.ports, "ssh sessions"
	return nil
}

// fillPorts takes the given ports, else those of sshd and of the sessions. Only what was
// given, or is sshd's by its configuration, may be proposed in a mend.
func (g *gathered) fillPorts(c checker) {
	switch {
	case len(g.options.Ports) > 0:
		g.ports, g.howPort = g.options.Ports, "as given"
	case g.here:
		var how string
		g.listens, how = c.machine.sshd()
		var ports []uint16
		for _, l := range g.listens {
			ports = append(ports, l.Port())
		}
		if ports = once(ports); len(ports) == 0 {
			ports = []uint16{22}
		}
		g.configured = ports
		if extra := missingFrom(ports, g.ports); len(extra) > 0 {
			ports, how = append(slices.Clone(ports), extra...), how+" and ssh sessions"
		}
		g.ports, g.howPort = ports, how
	default:
		g.ports, g.howPort = []uint16{22}, "ssh's default"
	}
	if len(g.configured) == 0 {
		g.configured = g.ports
	}
}

// readFiles reads everything that the boot loads, in boot order.
func (g *gathered) readFiles(c checker) error {
	o, h := g.options, g.host
	paths := map[string][]string{
		roleIPSets: {h.IPSets}, roleOther4: {h.Rules4OtherBackend}, roleOther6: {h.Rules6OtherBackend},
		roleRules4: o.Rules4, roleRules6: o.Rules6, roleNFT: h.NFT, roleARP: {h.ARPTables},
	}
	usual := map[string]bool{}
	if g.here {
		// What is given stands for what this machine would load in its place.
		found, notes := usualHere(c.root)
		g.saved = len(o.Rules4)+len(o.Rules6) == 0
		g.notes = append(g.notes, notes...)
		for role, p := range found {
			if len(paths[role]) == 0 || paths[role][0] == "" {
				paths[role], usual[role] = []string{p}, true
			}
		}
	}
	for _, role := range []string{roleIPSets, roleOther4, roleOther6, roleRules4, roleRules6, roleNFT, roleARP} {
		for _, p := range paths[role] {
			if p == "" {
				continue
			}
			if usual[role] {
				p = filepath.Join(c.root, p)
			}
			f, err := readRuleFile(role, p, g.root)
			switch {
			case err != nil && usual[role]:
				return err // nobody asked for it by a wrong name
			case err != nil:
				return &UsageError{err}
			}
			if f.isRules() && !hasTable(f.text) {
				g.notes = append(g.notes, fmt.Sprintf("%s holds no table: nothing is protected by it", p))
			}
			g.files = append(g.files, f)
		}
	}
	return nil
}

// hasTable reports whether a rule file has the head of a table.
func hasTable(text []byte) bool {
	return bytes.HasPrefix(text, []byte("*")) || bytes.Contains(text, []byte("\n*"))
}

// trusted reports whether every file is the machine's own, so that it may be
// loaded with root's (two) capabilities.
func (g *gathered) trusted() bool {
	return g.saved && !slices.ContainsFunc(g.files, func(f *ruleFile) bool { return !f.trusted })
}

// assumptions are what the machine itself leaves open for the questions
// asked.
func (g *gathered) assumptions(qs []question) []iptables.Assumption {
	out := slices.Clone(g.caveats[""])
	seen := map[string]bool{}
	for _, q := range qs {
		keys := []string{q.Iface}
		if q.Family == iptables.IPv6 {
			keys = append(keys, q.Iface+"/6")
		}
		for _, k := range keys {
			if !seen[k] {
				out = append(out, g.caveats[k]...)
			}
			seen[k] = true
		}
		has := slices.ContainsFunc(g.files, func(f *ruleFile) bool { return f.isRules() && f.concerns(q.Family) })
		if key := fmt.Sprint("rules", q.Family); g.here && !has && !seen[key] {
			seen[key] = true
			out = append(out, iptables.Assumption{Name: "no-rules-file",
				Why: fmt.Sprintf("no saved IPv%d rules are found in the usual places: what the boot loads is not known", q.Family)})
		}
	}
	return out
}
