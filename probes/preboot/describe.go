package preboot

import (
	"lifeline/probes/iptables"
	"lifeline/probes/preboot/hostinfo"
	"lifeline/probes/preboot/savedrules"
)

// DescribeHost describes this machine as --host reads it: links, addresses,
// routes, the reverse path filter, where sshd listens, and the files that it would load beside
// the iptables rules.
func DescribeHost() (iptables.Host, error) { return describeHost(hostinfo.Local{}, "/") }

func describeHost(m localHost, root string) (iptables.Host, error) {
	d, err := m.Describe()
	if err != nil {
		return iptables.Host{}, err
	}
	listens, _ := m.SSHD()
	for _, l := range listens {
		d.Host.Listen = append(d.Host.Listen, iptables.Listener{AddrPort: l})
	}
	found, _ := savedrules.Usual(root)
	d.Host.IPSets = found[savedrules.RoleIPSets]
	if p := found[savedrules.RoleNFT]; p != "" {
		d.Host.NFT = []string{p}
	}
	return d.Host, nil
}
