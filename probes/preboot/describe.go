package preboot

import "lifeline/probes/iptables"

// DescribeHost describes this machine as --host reads it: links, addresses,
// routes, the reverse path filter, and the files that it would load beside
// the iptables rules.
func DescribeHost() (iptables.Host, error) { return describeHost(thisHost{}, "/") }

func describeHost(m machine, root string) (iptables.Host, error) {
	d, err := m.describe()
	if err != nil {
		return iptables.Host{}, err
	}
	found, _ := usualHere(root)
	d.host.IPSets = found[roleIPSets]
	if p := found[roleNFT]; p != "" {
		d.host.NFT = []string{p}
	}
	return d.host, nil
}
