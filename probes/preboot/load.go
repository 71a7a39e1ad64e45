package preboot

import (
	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
	"lifeline/probes/preboot/savedrules"
)

// bootFile is a file that the boot loads, and what became of loading it in the scratch
// namespace.
type bootFile struct {
	*savedrules.File
	// refused says why no tool may see it: at first the file's own reason.
	refused error
	// notes say what of it was left out for the tool.
	notes []string
	// said is what the tool said, once it was asked.
	said  sandbox.LoadStatus
	tool  string
	asked bool
}

// loadFor is how a tool gets a file; notes say what of it is left out for the tool.
func loadFor(f *savedrules.File, b iptables.Backend) (l sandbox.Load, notes []string) {
	l = sandbox.Load{Input: f.Text}
	switch f.Role {
	case savedrules.RoleIPSets:
		l.Commands = []sandbox.Command{{Argv: []string{"ipset", "-exist", "restore"}}}
	case savedrules.RoleNFT:
		l.Commands = []sandbox.Command{{Argv: []string{"nft", "-f", "-"}}}
	case savedrules.RoleARP:
		// Never arptables-legacy-restore: it hands the file's lines to a shell.
		l.Commands = []sandbox.Command{{Argv: []string{"arptables-nft-restore"}}}
	case savedrules.RoleOther4:
		l.Commands = sandbox.RestoreCommands(b.Other(), iptables.IPv4)
	case savedrules.RoleOther6:
		l.Commands = sandbox.RestoreCommands(b.Other(), iptables.IPv6)
	case savedrules.RoleRules4:
		l.Commands = sandbox.RestoreCommands(b, iptables.IPv4)
	default:
		l.Commands = sandbox.RestoreCommands(b, iptables.IPv6)
	}
	if f.NoFlush {
		for n := range l.Commands {
			l.Commands[n].Argv = append(l.Commands[n].Argv, "--noflush")
		}
	}
	if f.Role != savedrules.RoleIPSets && f.Role != savedrules.RoleNFT {
		if l.Input, notes = savedrules.StripHostWide(f.Path, f.Text); notes != nil {
			l.Whole = f.Text
		}
	}
	return l, notes
}
