package preboot

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/hostinfo"
	"lifeline/probes/preboot/savedrules"
)

// localHost is what this host is asked about itself.
type localHost interface {
	// Describe tells links, addresses, routes, and what of them is not
	// modelled.
	Describe() (hostinfo.Description, error)
	// Sessions lists the ssh sessions that people have.
	Sessions() (hostinfo.SSHSessions, error)
	// SSHD tells where sshd listens, an unspecified address standing for all of
	// its family, and how that is known; nothing where nothing is configured.
	SSHD() (listens []netip.AddrPort, how string)
	// Backend is the one that this host's iptables-restore belongs to.
	Backend() (b iptables.Backend, how string)
	// Names are the host's name tables.
	Names() iptables.Names
}

// gathered is all that a check rests on.
type gathered struct {
	given
	files []*bootFile
	// root is what the files of a description, and nft includes, must lie inside.
	root    savedrules.Folder
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
	machine localHost
	now     func() time.Time
	// testbeds are the ways to a rehearsal, best first.
	testbeds func(trusted bool) []testbedOpener
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
	g := &gathered{given: given{options: o}, root: savedrules.Everywhere, names: c.machine.Names(), memory: cmp.Or(c.memory, mostKernelMemory)}
	var err error
	switch {
	case o.HostFile != "":
		err = g.describedBy(o.HostFile)
	case len(o.Links) > 0:
		g.host = iptables.Host{Links: o.Links}
	case o.Root != "" && filepath.Clean(o.Root) != c.root:
		// another machine's, of which the question tells
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
		g.backend, g.howBack = c.machine.Backend()
	}
	if o.Root != "" {
		return g, nil // what the boot loads is found out for each question
	}
	return g, g.readFiles(c)
}

// describedBy takes the host from a description; the files that it names are
// relative to it.
func (g *gathered) describedBy(path string) error {
	data, err := savedrules.ReadFile(path)
	if err != nil {
		return usagef("host description: %w", err)
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
	g.root = savedrules.Folder(dir)
	for _, p := range []*string{&g.host.IPSets, &g.host.Rules4OtherBackend, &g.host.Rules6OtherBackend, &g.host.ARPTables} {
		*p = g.root.Resolve(*p)
	}
	for i := range g.host.NFT {
		g.host.NFT[i] = g.root.Resolve(g.host.NFT[i])
	}
	return nil
}

// thisMachine describes the host that we run on.
func (g *gathered) thisMachine(c checker) error {
	o := g.options
	d, err := c.machine.Describe()
	if err != nil {
		return fmt.Errorf("describe this machine: %w", err)
	}
	if err := absent(d.Host, o); err != nil {
		return err
	}
	g.here, g.host, g.transient, g.caveats = true, d.Host, d.Transient, d.Caveats
	if len(o.Mgmt) == 0 {
		return g.findSources(c)
	}
	return nil
}

// absent tells of a link or an address that this machine does not have: a question about
// another machine describes it.
func absent(h iptables.Host, o Options) error {
	var links, addresses []string
	for _, l := range h.Links {
		links = append(links, l.Name)
		for _, p := range l.Addresses {
			addresses = append(addresses, p.Addr().String())
		}
	}
	const other = "; a question about another machine describes it by --host or --link"
	if o.Iface != "" && !slices.Contains(links, o.Iface) {
		return usagef("this machine has no link %q, but %s%s", o.Iface, strings.Join(links, ", "), other)
	}
	for _, a := range o.Dst {
		if !hostinfo.IsLocal(h, a) {
			return usagef("this machine has no address %s, but %s (one that a router translates is not its own)%s", a, strings.Join(addresses, ", "), other)
		}
	}
	return nil
}

// findSources looks for ssh sessions, remembers them, and takes what was
// remembered. Where sessions cannot be seen, memory has to do.
func (g *gathered) findSources(c checker) error {
	old, err := hostinfo.LoadSightings(g.options.StateDir)
	if err != nil {
		g.notes = append(g.notes, err.Error())
	}
	e, err := c.machine.Sessions()
	if err != nil {
		g.notes = append(g.notes, fmt.Sprintf("ssh sessions cannot be seen: %v", err))
	}
	at := c.now()
	all, forgotten := hostinfo.Remember(old, e.Sessions, at)
	if len(e.Sessions) > 0 {
		if err := hostinfo.SaveSightings(g.options.StateDir, all); err != nil {
			g.notes = append(g.notes, err.Error())
		}
	}
	abroad := func(list []hostinfo.Sighting) []hostinfo.Sighting {
		return slices.DeleteFunc(slices.Clone(list), func(s hostinfo.Sighting) bool { return hostinfo.IsLocal(g.host, s.Src) })
	}
	asked, rest := hostinfo.SelectAsked(abroad(all), at)
	g.seen, g.howSeen = asked, hostinfo.CountSightings(asked, at)
	g.leftOut = append(hostinfo.DescribeLeftOut(append(abroad(forgotten), rest...), asked), e.LeftOut...)
	g.ports, g.howPort = e.Ports, "ssh sessions"
	return nil
}

// fillPorts takes the given ports, else those of sshd and of the sessions. Only what was
// given, or is sshd's by its configuration, may be proposed in a fix.
func (g *gathered) fillPorts(c checker) {
	switch {
	case len(g.options.Ports) > 0:
		g.ports, g.howPort = g.options.Ports, "as given"
	case g.here:
		var how string
		g.listens, how = c.machine.SSHD()
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

// bootOrder is the order in which the boot loads files, by their roles.
var bootOrder = []string{savedrules.RoleIPSets, savedrules.RoleOther4, savedrules.RoleOther6, savedrules.RoleRules4, savedrules.RoleRules6, savedrules.RoleNFT, savedrules.RoleARP}

// readFiles reads everything that the boot loads, in boot order.
func (g *gathered) readFiles(c checker) error {
	paths, usual := g.filePaths(c.root)
	for _, role := range bootOrder {
		for _, p := range paths[role] {
			if p == "" {
				continue
			}
			if usual[role] {
				p = filepath.Join(c.root, p)
			}
			f, err := savedrules.Read(role, p, g.root)
			switch {
			case err != nil && usual[role]:
				return err // nobody asked for it by a wrong name
			case err != nil:
				return &UsageError{err}
			}
			if f.IsRules() && !hasTable(f.Text) {
				g.notes = append(g.notes, fmt.Sprintf("%s holds no table: nothing is protected by it", p))
			}
			g.files = append(g.files, &bootFile{File: f, refused: f.Refused})
		}
	}
	return nil
}

// filePaths are the files that the boot loads, by role: those that are named, and of this
// machine the usual ones where none is.
func (g *gathered) filePaths(root string) (paths map[string][]string, usual map[string]bool) {
	o, h := g.options, g.host
	paths = map[string][]string{
		savedrules.RoleIPSets: {h.IPSets}, savedrules.RoleOther4: {h.Rules4OtherBackend}, savedrules.RoleOther6: {h.Rules6OtherBackend},
		savedrules.RoleRules4: o.Rules4, savedrules.RoleRules6: o.Rules6, savedrules.RoleNFT: h.NFT, savedrules.RoleARP: {h.ARPTables},
	}
	usual = map[string]bool{}
	if !g.here {
		return paths, usual
	}
	// What is given stands for what this machine would load in its place.
	found, notes := savedrules.Usual(root)
	g.saved = len(o.Rules4)+len(o.Rules6) == 0
	g.notes = append(g.notes, notes...)
	for role, p := range found {
		if len(paths[role]) == 0 || paths[role][0] == "" {
			paths[role], usual[role] = []string{p}, true
		}
	}
	return paths, usual
}

// hasTable reports whether a rule file has the head of a table.
func hasTable(text []byte) bool {
	return bytes.HasPrefix(text, []byte("*")) || bytes.Contains(text, []byte("\n*"))
}

// trusted reports whether every file is the machine's own, so that it may be
// loaded with root's (two) capabilities.
func (g *gathered) trusted() bool {
	return g.saved && !slices.ContainsFunc(g.files, func(f *bootFile) bool { return !f.Trusted })
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
		has := slices.ContainsFunc(g.files, func(f *bootFile) bool { return f.IsRules() && f.Concerns(q.Family) })
		if key := fmt.Sprint("rules", q.Family); g.options.Root == "" && !has && !seen[key] {
			seen[key] = true
			why := "no IPv%d rules file is given: what the boot loads is not known"
			if g.here {
				why = "no saved IPv%d rules are found in the usual places: what the boot loads is not known"
			}
			out = append(out, iptables.Assumption{Name: "no-rules-file", Why: fmt.Sprintf(why, q.Family)})
		}
	}
	for _, f := range g.files {
		if f.IsRules() && f.detached() {
			out = append(out, iptables.Assumption{Name: "detached-rules", File: f.Path,
				Why: f.Path + ": no chain of the kernel leads to its rules: they act only behind other files" + f.owner()})
		}
	}
	return out
}
