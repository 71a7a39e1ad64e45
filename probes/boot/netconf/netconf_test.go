package netconf

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/roottest"
	"lifeline/probes/boot/sshd"
	"lifeline/probes/boot/systemd"
)

const base = `
-- etc/machine-id --
0123456789abcdef0123456789abcdef
-- usr/lib/systemd/system/default.target -> multi-user.target --
-- usr/lib/systemd/system/multi-user.target --
[Unit]
-- usr/lib/systemd/system/networking.service --
[Service]
ExecStart=/sbin/ifup -a
-- usr/lib/systemd/system/systemd-networkd.service --
[Service]
ExecStart=/lib/systemd/systemd-networkd
-- usr/lib/systemd/system/NetworkManager.service --
[Service]
ExecStart=/usr/sbin/NetworkManager
-- usr/lib/systemd/system/cloud-init.service --
[Service]
ExecStart=/usr/bin/cloud-init init
`

func enabled(units ...string) string {
	out := ""
	for _, u := range units {
		out += "-- etc/systemd/system/multi-user.target.wants/" + u + " -> x --\n"
	}
	return out
}

const (
	interfaces = "-- etc/network/interfaces --\nauto lo\niface lo inet loopback\n"
	static     = "iface eth0 inet static\n  address 192.0.2.10/24\n  gateway 192.0.2.1\n"
	network    = "-- etc/systemd/network/10-eth0.network --\n[Match]\nName=eth*\n[Network]\nAddress=192.0.2.10/24\nGateway=192.0.2.1\n"
	netplan    = "-- usr/lib/systemd/system-generators/netplan 0755 --\n-- etc/netplan/50.yaml --\nnetwork:\n  version: 2\n  ethernets:\n    eth0:\n      addresses: [192.0.2.10/24]\n"
	keyfile    = "[connection]\ntype=ethernet\ninterface-name=eth0\n[ipv4]\nmethod=manual\naddress1=192.0.2.10/24,192.0.2.1\n"
)

func TestWhoConfiguresTheLink(t *testing.T) {
	for name, tc := range map[string]struct {
		tree     string
		presence sshd.Presence
		remarks  []string // kind and cause
	}{
		"nobody":                               {interfaces + enabled("networking.service"), sshd.Absent, []string{"cut netconf-missing"}},
		"nobody, but cloud-init may":           {enabled("cloud-init.service"), sshd.Absent, []string{"opaque netconf-not-understood"}},
		"interfaces, auto":                     {interfaces + "auto eth0\n" + static + enabled("networking.service"), sshd.Early, nil},
		"interfaces, hotplug":                  {interfaces + "allow-hotplug eth0\n" + static + enabled("networking.service"), sshd.Early, nil},
		"interfaces, by a pattern":             {interfaces + "auto /eth*\n" + static + enabled("networking.service"), sshd.Early, nil},
		"interfaces, in a sourced file":        {interfaces + "source interfaces.d/*\n-- etc/network/interfaces.d/eth0 --\nauto eth0\n" + static + enabled("networking.service"), sshd.Early, nil},
		"interfaces, a backup is not sourced":  {interfaces + "source-directory interfaces.d\n-- etc/network/interfaces.d/eth0.bak --\nauto eth0\n" + static + enabled("networking.service"), sshd.Absent, []string{"cut netconf-missing"}},
		"interfaces, not automatic":            {interfaces + static + enabled("networking.service"), sshd.Absent, []string{"cut netconf-not-automatic"}},
		"interfaces, service off":              {interfaces + "auto eth0\n" + static, sshd.Absent, []string{"cut netconf-service-off"}},
		"interfaces, another address":          {interfaces + "auto eth0\niface eth0 inet static\n address 192.0.2.11/24\n" + enabled("networking.service"), sshd.Absent, []string{"cut netconf-missing"}},
		"interfaces, DHCP":                     {interfaces + "auto eth0\niface eth0 inet dhcp\n" + enabled("networking.service"), sshd.Unknown, []string{"note netconf-dynamic"}},
		"networkd":                             {network + enabled("systemd-networkd.service"), sshd.Late, nil},
		"networkd, off":                        {network, sshd.Absent, []string{"cut netconf-service-off"}},
		"networkd, masked file":                {network + "-- usr/lib/systemd/network/05-eth0.network --\n[Match]\nName=eth0\n[Network]\nDHCP=yes\n-- etc/systemd/network/05-eth0.network -> /dev/null --\n" + enabled("systemd-networkd.service"), sshd.Late, nil},
		"networkd, an earlier file":            {network + "-- etc/systemd/network/05.network --\n[Match]\nName=eth0\n[Network]\nDHCP=yes\n" + enabled("systemd-networkd.service"), sshd.Unknown, []string{"note netconf-dynamic"}},
		"networkd, a drop-in":                  {network + "-- etc/systemd/network/10-eth0.network.d/a.conf --\n[Network]\nDHCP=yes\n" + enabled("systemd-networkd.service"), sshd.Late, nil},
		"netplan":                              {netplan, sshd.Late, nil},
		"netplan, without its generator":       {"-- etc/netplan/50.yaml --\nnetwork:\n  ethernets:\n    eth0:\n      dhcp4: true\n", sshd.Absent, []string{"cut netconf-missing"}},
		"netplan, renderer missing":            {netplan + "-- etc/netplan/01.yaml --\nnetwork:\n  renderer: NetworkManager\n", sshd.Absent, []string{"cut netconf-renderer-missing"}},
		"netplan, renderer there":              {netplan + "-- etc/netplan/01.yaml --\nnetwork:\n  renderer: NetworkManager\n" + enabled("NetworkManager.service"), sshd.Late, nil},
		"netplan, DHCP by a name that is set":  {"-- usr/lib/systemd/system-generators/netplan 0755 --\n-- etc/netplan/50.yaml --\nnetwork:\n  ethernets:\n    nic:\n      match: {macaddress: '52:54:00:00:00:01'}\n      set-name: eth0\n      dhcp4: true\n", sshd.Unknown, []string{"note netconf-dynamic"}},
		"netplan, not YAML":                    {"-- usr/lib/systemd/system-generators/netplan 0755 --\n-- etc/netplan/50.yaml --\n\tx: [\n", sshd.Absent, []string{"opaque netconf-unread", "cut netconf-missing"}},
		"NetworkManager":                       {"-- etc/NetworkManager/system-connections/e.nmconnection 0600 --\n" + keyfile + enabled("NetworkManager.service"), sshd.Late, nil},
		"NetworkManager, off":                  {"-- etc/NetworkManager/system-connections/e.nmconnection 0600 --\n" + keyfile, sshd.Absent, []string{"cut netconf-service-off"}},
		"NetworkManager, a file for all":       {"-- etc/NetworkManager/system-connections/e.nmconnection 0644 --\n" + keyfile + enabled("NetworkManager.service"), sshd.Absent, []string{"cut netconf-ignored-permissions"}},
		"NetworkManager, not automatic":        {"-- etc/NetworkManager/system-connections/e.nmconnection 0600 --\n" + keyfile + "[connection]\nautoconnect=false\n" + enabled("NetworkManager.service"), sshd.Absent, []string{"cut netconf-not-automatic"}},
		"ifcfg":                                {"-- etc/sysconfig/network-scripts/ifcfg-eth0 --\nDEVICE=eth0\nONBOOT=yes\nIPADDR=192.0.2.10\n" + enabled("NetworkManager.service"), sshd.Late, nil},
		"ifcfg, not at boot":                   {"-- etc/sysconfig/network-scripts/ifcfg-eth0 --\nDEVICE=eth0\nONBOOT=no\nIPADDR=192.0.2.10\n" + enabled("NetworkManager.service"), sshd.Absent, []string{"cut netconf-not-automatic"}},
		"a unit of the administrator":          {"-- etc/systemd/system/addr.service --\n[Service]\nExecStart=/sbin/ip addr add 192.0.2.10/24 dev eth0\n" + enabled("addr.service"), sshd.Late, nil},
		"a link that gets another name":        {network + enabled("systemd-networkd.service") + "-- etc/systemd/network/10.link --\n[Match]\nOriginalName=eth0\n[Link]\nName=lan0\n", sshd.Late, []string{"cut link-renamed"}},
		"a link that keeps its name":           {network + enabled("systemd-networkd.service") + "-- etc/systemd/network/10.link --\n[Match]\nMACAddress=52:54:00:00:00:01\n[Link]\nName=eth0\n", sshd.Late, nil},
		"a mount that may stop the boot":       {network + enabled("systemd-networkd.service") + "-- etc/fstab --\n/dev/sda1 / ext4 defaults 0 1\n/dev/sdb1 /data ext4 defaults 0 2\n/dev/sdc1 /more ext4 nofail 0 2\n", sshd.Late, []string{"note fstab-not-checked"}},
		"two managers, one of which is static": {interfaces + "auto eth0\n" + static + network + enabled("networking.service", "systemd-networkd.service"), sshd.Early, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tree := roottest.Tree(t, base+tc.tree)
			b, err := systemd.Read(tree)
			if err != nil {
				t.Fatal(err)
			}
			a := netip.MustParseAddr("192.0.2.10")
			s := Read(tree, b, "eth0", []netip.Addr{a})
			var got []string
			kinds := map[remark.Kind]string{remark.Note: "note", remark.Missed: "missed", remark.Opaque: "opaque", remark.Cut: "cut"}
			for _, r := range s.Remarks {
				got = append(got, fmt.Sprintf("%s %s", kinds[r.Kind], r.Cause))
			}
			if p := s.Presence(a); p != tc.presence {
				t.Errorf("presence %v, want %v (%v)", p, tc.presence, s.Profiles)
			}
			if !slices.Equal(got, tc.remarks) {
				t.Errorf("remarks %v\n want %q", s.Remarks, tc.remarks)
			}
		})
	}
}
