package sandbox

import "lifeline/probes/iptables"

// RestoreCommands are the commands that load a rule file of one family.
func RestoreCommands(b iptables.Backend, f iptables.Family) []Command {
	base := "iptables"
	if f == iptables.IPv6 {
		base = "ip6tables"
	}
	version := "(nf_tables)"
	if b == iptables.Legacy {
		version = "(legacy)"
	}
	return []Command{
		{Argv: []string{base + "-" + string(b) + "-restore"}},
		{Argv: []string{base + "-restore"}, Version: version},
	}
}
