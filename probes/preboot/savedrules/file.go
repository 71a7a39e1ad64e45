package savedrules

import (
	"errors"
	"fmt"
	"syscall"

	"lifeline/probes/iptables"
	"lifeline/watchdog/files"
)

// Roles that a file may have, in the order in which the boot loads them.
const (
	RoleIPSets = "ipsets"    // ipset restore
	RoleOther4 = "other4"    // iptables-restore of the other back end
	RoleOther6 = "other6"    // ip6tables-restore of the other back end
	RoleRules4 = "rules4"    // iptables-restore
	RoleRules6 = "rules6"    // ip6tables-restore
	RoleNFT    = "nft"       // nft -f
	RoleARP    = "arptables" // arptables-restore
)

// File is one file that the boot loads.
type File struct {
	Role, Path string
	Text       []byte
	// NoFlush: it is restored on top of what stands.
	NoFlush bool
	// Includes are what an nft file includes.
	Includes []Include
	// Withheld: it is named by a description, and not by who asks. Nothing of what it
	// says is told where it is not understood: it may be no such file at all.
	Withheld bool
	// Refused says why no tool may see it.
	Refused error
	// Trusted: owned by root and writable by nobody else.
	Trusted bool
}

// FromText is a file whose content is known already, with what it includes. One that a
// manager makes has the manager's name in place of a path.
func FromText(role, path string, text []byte, includes []Include) *File {
	f := &File{Role: role, Path: path, Text: text, Includes: includes}
	if role != RoleNFT && role != RoleIPSets {
		f.Refused = refuseProgram(path, text, false)
	}
	return f
}

// Concerns reports whether a file matters to questions of a family.
func (f *File) Concerns(family iptables.Family) bool {
	switch f.Role {
	case RoleRules4, RoleOther4, RoleARP:
		return family == iptables.IPv4
	case RoleRules6, RoleOther6:
		return family == iptables.IPv6
	}
	return true
}

// IsRules reports whether the file is one that Analyse judges the load of.
func (f *File) IsRules() bool { return f.Role == RoleRules4 || f.Role == RoleRules6 }

// Read reads a file of the boot, in bounded time. What a description names,
// and includes of nft files, are taken from inside root only.
func Read(role, path string, root Folder) (*File, error) {
	f, err := files.Within(fileDeadline, func() (*File, error) { return read(role, path, root) })
	if errors.Is(err, files.ErrNoAnswer) {
		err = fmt.Errorf("%s file: %w", role, named(path, err))
	}
	return f, err
}

func read(role, path string, root Folder) (*File, error) {
	open := openFile
	out := &File{Role: role, Path: path}
	if root != Everywhere && !out.IsRules() {
		open, out.Withheld = root.open, true
	}
	f, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("%s file: %w", role, named(path, err))
	}
	defer f.Close()
	if out.Text, err = readBounded(f); err != nil {
		return nil, fmt.Errorf("%s file: %w", role, named(path, err))
	}
	if st, err := f.Stat(); err == nil {
		sys, ok := st.Sys().(*syscall.Stat_t)
		out.Trusted = ok && sys.Uid == 0 && st.Mode().Perm()&0o022 == 0
	}
	switch role {
	case RoleNFT:
		out.Includes, out.Refused = collectIncludes(root, out.Text)
	case RoleIPSets:
	default:
		out.Refused = refuseProgram(path, out.Text, out.Withheld)
	}
	return out, nil
}

// IsTables reports whether the file is one of iptables-restore(8), of whichever back end.
func (f *File) IsTables() bool {
	return f.IsRules() || f.Role == RoleOther4 || f.Role == RoleOther6
}
