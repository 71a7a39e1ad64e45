package preboot

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"lifeline/probes/boot/firewall"
	"lifeline/probes/iptables"
	"lifeline/probes/preboot/savedrules"
)

// bootFiles are the files of an order as the engines take them. What nft's flush of all
// tables removes is left out.
func bootFiles(q question, loads []firewall.Load) []*bootFile {
	var out []*bootFile
	for _, l := range loads {
		role := roleOf(q, l)
		if l.Language == firewall.NFTables && flushes(l) {
			out = slices.DeleteFunc(out, func(f *bootFile) bool { return onNFT(q, f) })
		}
		for n, p := range l.Parts {
			var includes []savedrules.Include
			for _, i := range l.Includes {
				includes = append(includes, savedrules.Include{Path: i.File, Text: i.Text, Times: 1})
			}
			f := savedrules.FromText(role, cmp.Or(p.File, fmt.Sprintf("(%s, part %d)", l.Manager, n+1)), p.Text, includes)
			f.NoFlush = f.IsTables() && (n > 0 || !l.Flush)
			out = append(out, &bootFile{File: f, refused: f.Refused})
		}
	}
	return out
}

func roleOf(q question, l firewall.Load) string {
	other := l.Backend != firewall.Unknown && iptables.Backend(l.Backend) != q.Backend
	switch {
	case l.Language == firewall.NFTables:
		return savedrules.RoleNFT
	case l.Language == firewall.IPSets:
		return savedrules.RoleIPSets
	case l.Language == firewall.IPTables && other:
		return savedrules.RoleOther4
	case l.Language == firewall.IPTables:
		return savedrules.RoleRules4
	case other:
		return savedrules.RoleOther6
	}
	return savedrules.RoleRules6
}

// flushes tells whether an nft file removes all that stands.
func flushes(l firewall.Load) bool {
	for _, p := range slices.Concat(l.Parts, l.Includes) {
		if bytes.Contains(p.Text, []byte("flush ruleset")) {
			return true
		}
	}
	return false
}

// onNFT tells whether a file's rules stand in nftables, where its flush reaches them.
func onNFT(q question, f *bootFile) bool {
	switch f.Role {
	case savedrules.RoleNFT:
		return true
	case savedrules.RoleRules4, savedrules.RoleRules6:
		return q.Backend == iptables.NFT
	case savedrules.RoleOther4, savedrules.RoleOther6:
		return q.Backend != iptables.NFT
	}
	return false
}
