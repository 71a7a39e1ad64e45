package preboot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"lifeline/probes/iptables"
	"lifeline/watchdog/files"
)

// Roles that a file may have, in the order in which the boot loads them.
const (
	roleIPSets = "ipsets"
	roleOther4 = "other4"
	roleOther6 = "other6"
	roleRules4 = "rules4"
	roleRules6 = "rules6"
	roleNFT    = "nft"
	roleARP    = "arptables"
)

// ruleFile is one file that the boot loads.
type ruleFile struct {
	role, path string
	text       []byte
	// includes are what an nft file includes.
	includes []sceneFile
	// withheld: it is named by a description, and not by who asks. Nothing of what it
	// says is told where it is not understood: it may be no such file at all.
	withheld bool
	// refused says why no tool may see it.
	refused error
	// trusted: owned by root and writable by nobody else.
	trusted bool
	// notes say what of it was left out for the tool.
	notes []string
	// said is what the tool said, once it was asked.
	said  toolWord
	tool  string
	asked bool
}

// concerns reports whether a file matters to questions of a family.
func (f *ruleFile) concerns(family iptables.Family) bool {
	switch f.role {
	case roleRules4, roleOther4, roleARP:
		return family == iptables.IPv4
	case roleRules6, roleOther6:
		return family == iptables.IPv6
	}
	return true
}

// isRules reports whether the file is one that Analyse judges the load of.
func (f *ruleFile) isRules() bool { return f.role == roleRules4 || f.role == roleRules6 }

// readRuleFile reads a file of the boot, in bounded time. What a description names,
// and includes of nft files, are taken from inside root only.
func readRuleFile(role, path string, root folder) (*ruleFile, error) {
	f, err := files.Within(fileDeadline, func() (*ruleFile, error) { return loadRuleFile(role, path, root) })
	if errors.Is(err, files.ErrNoAnswer) {
		err = fmt.Errorf("%s file: %w", role, named(path, err))
	}
	return f, err
}

func loadRuleFile(role, path string, root folder) (*ruleFile, error) {
	open := openFile
	out := &ruleFile{role: role, path: path}
	if root != everywhere && !out.isRules() {
		open, out.withheld = root.open, true
	}
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("%s file: %w", role, named(path, err))
	}
	defer f.Close()
	if out.text, err = readBounded(f); err != nil {
		return nil, fmt.Errorf("%s file: %w", role, named(path, err))
	}
	if st, err := f.Stat(); err == nil {
		sys, ok := st.Sys().(*syscall.Stat_t)
		out.trusted = ok && sys.Uid == 0 && st.Mode().Perm()&0o022 == 0
	}
	switch role {
	case roleNFT:
		out.includes, out.refused = collectIncludes(root, out.text)
	case roleIPSets:
	default:
		out.refused = refuseProgram(path, out.text, out.withheld)
	}
	return out, nil
}

// load is how a tool gets the file.
func (f *ruleFile) load(b iptables.Backend) load {
	l := load{Input: f.text}
	switch f.role {
	case roleIPSets:
		l.Tools = []loadTool{{Argv: []string{"ipset", "-exist", "restore"}}}
	case roleNFT:
		l.Tools = []loadTool{{Argv: []string{"nft", "-f", "-"}}}
	case roleARP:
		// Never arptables-legacy-restore: it hands the file's lines to a shell.
		l.Tools = []loadTool{{Argv: []string{"arptables-nft-restore"}}}
	case roleOther4:
		l.Tools = restoreTools(b.Other(), iptables.IPv4)
	case roleOther6:
		l.Tools = restoreTools(b.Other(), iptables.IPv6)
	case roleRules4:
		l.Tools = restoreTools(b, iptables.IPv4)
	default:
		l.Tools = restoreTools(b, iptables.IPv6)
	}
	if f.role != roleIPSets && f.role != roleNFT {
		if l.Input, f.notes = stripHostWide(f.path, f.text); f.notes != nil {
			l.Whole = f.text
		}
	}
	return l
}

// usualFiles are where distributions save what they load at boot; of each
// role's list the first that exists counts.
var usualFiles = []struct {
	role  string
	paths []string
}{
	{roleIPSets, []string{"/etc/iptables/ipsets", "/etc/sysconfig/ipset", "/etc/ipset.conf"}},
	{roleRules4, []string{"/etc/iptables/rules.v4", "/etc/sysconfig/iptables"}},
	{roleRules6, []string{"/etc/iptables/rules.v6", "/etc/sysconfig/ip6tables"}},
}

// nftUnits tell by their presence that the boot loads a native nft file.
var nftUnits = []string{
	"/etc/systemd/system/sysinit.target.wants/nftables.service",
	"/etc/systemd/system/multi-user.target.wants/nftables.service",
	"/etc/runlevels/default/nftables",
	"/etc/runlevels/boot/nftables",
}

var nftFiles = []string{"/etc/nftables.conf", "/etc/sysconfig/nftables.conf", "/etc/nftables.nft"}

// usualHere fills in the files that this machine would load, below root.
func usualHere(root string) (found map[string]string, notes []string) {
	found = map[string]string{}
	for _, u := range usualFiles {
		for _, p := range u.paths {
			switch _, err := os.Stat(filepath.Join(root, p)); {
			case errors.Is(err, fs.ErrNotExist):
			case found[u.role] == "":
				found[u.role] = p
			default:
				notes = append(notes, fmt.Sprintf("%s exists beside %s and is not looked at", p, found[u.role]))
			}
		}
	}
	for _, unit := range nftUnits {
		if _, err := os.Lstat(filepath.Join(root, unit)); err != nil {
			continue
		}
		for _, p := range nftFiles {
			if _, err := os.Stat(filepath.Join(root, p)); err == nil && found[roleNFT] == "" {
				found[roleNFT] = p
			}
		}
	}
	return found, notes
}
