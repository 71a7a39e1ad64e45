package boot

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/boot/firewall"
	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/roottest"
)

// base is a machine whose management gets in: interfaces, sshd and saved rules.
const base = `
-- etc/machine-id --
0123456789abcdef0123456789abcdef
-- usr/lib/systemd/system/default.target -> multi-user.target --
-- usr/lib/systemd/system/multi-user.target --
[Unit]
Wants=networking.service ssh.service
-- usr/lib/systemd/system/network-pre.target --
[Unit]
-- usr/lib/systemd/system/networking.service --
[Unit]
After=network-pre.target
[Service]
ExecStart=/sbin/ifup -a
-- usr/lib/systemd/system/ssh.service --
[Service]
ExecStart=/usr/sbin/sshd -D
-- usr/lib/systemd/system/netfilter-persistent.service --
[Unit]
Wants=network-pre.target
Before=network-pre.target
[Service]
ExecStart=/usr/sbin/netfilter-persistent start
-- usr/lib/systemd/system/nftables.service --
[Unit]
Wants=network-pre.target
Before=network-pre.target
[Service]
ExecStart=/usr/sbin/nft -f /etc/nftables.conf
-- usr/share/netfilter-persistent/plugins.d/15-ip4tables 0755 --
-- usr/sbin/iptables-restore -> iptables-nft-restore --
-- usr/sbin/iptables-nft-restore 0755 --
-- etc/ssh/sshd_config --
-- etc/ssh/ssh_host_ed25519_key 0600 --
-----BEGIN OPENSSH PRIVATE KEY-----
-- etc/network/interfaces --
auto eth0
iface eth0 inet static
  address 192.0.2.10/24
-- etc/iptables/rules.v4 --
*filter
-A INPUT -m geoip --src-cc XX -j DROP
COMMIT
-- etc/systemd/system/multi-user.target.wants/netfilter-persistent.service -> x --
`

var question = Question{Link: "eth0", Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Ports: []uint16{22}}

func causes(b *Boot, k remark.Kind) []string {
	var out []string
	for _, r := range b.Remarks {
		if r.Kind == k {
			out = append(out, r.Cause)
		}
	}
	return out
}

func TestRead(t *testing.T) {
	b, err := Read(roottest.Dir(t, base), question)
	if err != nil || len(b.Remarks) > 0 {
		t.Fatalf("%v, %v", b.Remarks, err)
	}
	orders, all := b.Orders(firewall.IPTables)
	if len(orders) != 1 || len(orders[0]) != 1 || !all {
		t.Errorf("orders: %v, %t", orders, all)
	}
}

func TestSSHDElsewhereIsACut(t *testing.T) {
	b, err := Read(roottest.Dir(t, strings.Replace(base, "-- etc/ssh/sshd_config --\n", "-- etc/ssh/sshd_config --\nPort 2222\n", 1)), question)
	if err != nil || !slices.Equal(causes(b, remark.Cut), []string{"sshd-port"}) {
		t.Errorf("%v, %v", b.Remarks, err)
	}
}

func TestModuleThatTheNextKernelLacks(t *testing.T) {
	const kernels = `
-- boot/vmlinuz-6.1.0-9-amd64 --
-- boot/vmlinuz-6.1.0-10-amd64 --
-- usr/lib/modules/6.1.0-9-amd64/modules.dep --
extra/xt_geoip.ko.xz: kernel/net/netfilter/x_tables.ko
-- usr/lib/modules/6.1.0-10-amd64/modules.dep --
kernel/net/netfilter/x_tables.ko:
`
	b, err := Read(roottest.Dir(t, base+kernels), question)
	if err != nil || !slices.Equal(causes(b, remark.Missed), []string{"module-missing-next-kernel"}) {
		t.Errorf("%v, %v", b.Remarks, err)
	}
	b, err = Read(roottest.Dir(t, base+strings.ReplaceAll(kernels, "6.1.0-10-", "6.1.0-8-")), question)
	if err != nil || len(b.Remarks) > 0 {
		t.Errorf("the newest has it: %v, %v", b.Remarks, err)
	}
}

// TestOrdersOfTwoManagers: nothing orders the two, and nft's flush reaches the other's
// rules where both write to nftables.
func TestOrdersOfTwoManagers(t *testing.T) {
	const nft = "-- etc/nftables.conf --\nflush ruleset\n-- etc/systemd/system/multi-user.target.wants/nftables.service -> x --\n"
	for back, want := range map[string]int{"nft": 2, "legacy": 1} {
		tree := strings.NewReplacer("iptables-nft-restore", "iptables-"+back+"-restore").Replace(base) + nft
		b, err := Read(roottest.Dir(t, tree), question)
		if err != nil {
			t.Fatal(err)
		}
		if orders, all := b.Orders(firewall.IPTables); len(orders) != want || !all {
			t.Errorf("%s: %d orders (%t), want %d", back, len(orders), all, want)
		}
	}
}

func TestNoTree(t *testing.T) {
	if _, err := Read(t.TempDir()+"/gone", question); err == nil {
		t.Error("a directory that is missing is read")
	}
}
