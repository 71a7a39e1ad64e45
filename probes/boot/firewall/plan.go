package firewall

import (
	"slices"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/rootfs"
	"lifeline/probes/boot/systemd"
)

// Language is what a file is written in, and so which tool loads it.
type Language int

// The languages of files that a boot loads.
const (
	IPTables  Language = iota // iptables-restore(8), for IPv4
	IP6Tables                 // the same, for IPv6
	NFTables                  // nft(8)
	IPSets                    // ipset(8), restore
)

// Backend is which tables of the kernel iptables' tools write to.
type Backend string

// The back ends.
const (
	NFT     Backend = "nft"
	Legacy  Backend = "legacy"
	Unknown Backend = "" // it cannot be told which of them
)

// Failure is what stands when a file cannot be loaded.
type Failure int

// What a failure of a load leads to.
const (
	// Open: the rules that stood before, which at boot are none.
	Open Failure = iota
	// Closed: the others of the manager's rules, whose policy drops.
	Closed
	// NoNetwork: the link is not configured.
	NoNetwork
)

// Load is one thing that the boot loads.
type Load struct {
	// Starter is the unit that loads it, or what stands for one ("cron", "ifup eth0").
	Starter string
	// Manager is the program that reads the files, as "netfilter-persistent".
	Manager  string
	Language Language
	Backend  Backend
	// Parts are what is loaded one after the other, each committed for itself. Flush tells
	// that the first one empties the tables that it names; those after it never do.
	Parts []Part
	Flush bool
	// Includes are the files that an nft file leads to, under the paths that nft asks for,
	// each as often as it is included.
	Includes []Part
	// TestFirst tells that the file is tried first, and that nothing is loaded if that fails.
	TestFirst bool
	// Fallback is loaded where Parts cannot be.
	Fallback *Part
	// Late tells that it is not ordered before the network.
	Late    bool
	Failure Failure
	// Names are the files, units and settings that this rests on.
	Names []string

	unit string // for the order; "" where none is known
}

// Part is a file, or a text that a manager makes.
type Part struct {
	File string // "" for a text
	Text []byte
}

// Plan is what a boot loads.
type Plan struct {
	// Loads are in an order that the boot may have; Ordered tells which pairs have no other.
	Loads   []Load
	Remarks remark.List
	// SaveOnStop are the files that an orderly reboot writes anew before.
	SaveOnStop []SaveOnStop

	boot *systemd.Boot
}

// SaveOnStop is a file into which the rules that run are saved when its unit is stopped.
// An orderly reboot loads those; one after a crash or a loss of power loads the file as
// it is.
type SaveOnStop struct {
	Language Language
	File     string
	// Setting is the variable that asks for it.
	Setting string
}

// Ordered tells whether the first of two loads is always loaded before the other.
func (p *Plan) Ordered(first, then Load) bool {
	switch {
	case first.unit == "" || then.unit == "":
		return !first.Late && then.Late
	case first.unit == then.unit:
		return true
	}
	return p.boot.Before(first.unit, then.unit)
}

// planner collects a plan.
type planner struct {
	root
	boot *systemd.Boot
	Plan
}

// root answers from the files of the tree alone, as far as they concern a link.
type root struct {
	tree *rootfs.Tree
	link string
}

// has tells whether a file is there, as far as that can be told.
func (r root) has(name string) bool {
	ok, err := r.tree.Exists(name)
	return err == nil && ok
}

// Read tells what a boot of a tree loads, as far as it concerns a link.
func Read(t *rootfs.Tree, b *systemd.Boot, link string) *Plan {
	p := &planner{root: root{t, link}, boot: b, Plan: Plan{boot: b}}
	for _, d := range b.Doubts {
		p.Remarks.Add(remark.Opaque, "not-read", d.Path+": "+d.Text, d.Path)
	}
	p.units()
	p.scheduled()
	p.interfaces()
	p.notStarted()
	p.sort()
	return &p.Plan
}

// sort puts the loads into an order that the boot may have: those of units by their
// dependencies, and what is late behind.
func (p *planner) sort() {
	var out []Load
	rest := slices.Clone(p.Loads)
	for len(rest) > 0 {
		i := slices.IndexFunc(rest, func(l Load) bool {
			return !slices.ContainsFunc(rest, func(o Load) bool { return o.unit != l.unit && p.Ordered(o, l) })
		})
		i = max(i, 0) // a circle: as they come
		out = append(out, rest[i])
		rest = slices.Delete(rest, i, i+1)
	}
	p.Loads = out
}

func (p *planner) exists(name string) bool {
	ok, err := p.tree.Exists(name)
	if err != nil {
		p.Remarks.Add(remark.Opaque, "not-read", err.Error(), name)
	}
	return ok
}

// read is a file of the tree; what is missing or cannot be read is told.
func (r root) read(name string) (text []byte, ok bool) {
	text, err := r.tree.ReadFile(name)
	return text, err == nil
}

// Holds tells whether a load reads a file.
func (l Load) Holds(file string) bool {
	return slices.ContainsFunc(l.Parts, func(p Part) bool { return p.File == file })
}
