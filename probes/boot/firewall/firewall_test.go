package firewall

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/roottest"
	"lifeline/probes/boot/systemd"
)

// base is a tree with the units of several managers, none of them enabled.
const base = `
-- etc/machine-id --
0123456789abcdef0123456789abcdef
-- etc/os-release --
ID=debian
VERSION_ID="12"
-- usr/lib/systemd/system/default.target -> multi-user.target --
-- usr/lib/systemd/system/multi-user.target --
[Unit]
Requires=basic.target
After=basic.target
-- usr/lib/systemd/system/basic.target --
[Unit]
Requires=sysinit.target
After=sysinit.target
-- usr/lib/systemd/system/sysinit.target --
[Unit]
-- usr/lib/systemd/system/network-pre.target --
[Unit]
-- usr/lib/systemd/system/netfilter-persistent.service --
[Unit]
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target
[Service]
ExecStart=/usr/sbin/netfilter-persistent start
-- usr/lib/systemd/system/nftables.service --
[Unit]
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target
[Service]
ProtectHome=true
ExecStart=/usr/sbin/nft -f /etc/nftables.conf
-- usr/lib/systemd/system/ufw.service --
[Unit]
DefaultDependencies=no
Wants=network-pre.target
Before=network-pre.target
[Service]
ExecStart=/usr/lib/ufw/ufw-init start quiet
-- usr/lib/systemd/system/iptables.service --
[Unit]
AssertPathExists=/etc/sysconfig/iptables
Before=network-pre.target
Wants=network-pre.target
[Service]
ExecStart=/usr/libexec/iptables/iptables.init start
-- usr/lib/systemd/system/firewalld.service --
[Unit]
Conflicts=iptables.service nftables.service
[Service]
ExecStart=/usr/sbin/firewalld --nofork
-- usr/lib/systemd/system/networking.service --
[Unit]
DefaultDependencies=no
After=network-pre.target
[Service]
ExecStart=/sbin/ifup -a
-- usr/lib/systemd/system/cron.service --
[Service]
ExecStart=/usr/sbin/cron -f
-- usr/share/netfilter-persistent/plugins.d/15-ip4tables 0755 --
-- usr/share/netfilter-persistent/plugins.d/25-ip6tables 0755 --
-- etc/default/netfilter-persistent --
IPTABLES_TEST_RULESET=yes
-- etc/alternatives/iptables-restore -> /usr/sbin/iptables-nft-restore --
-- usr/sbin/iptables-restore -> /etc/alternatives/iptables-restore --
-- usr/sbin/iptables-nft-restore 0755 --
-- usr/sbin/ip6tables-restore -> ip6tables-legacy-restore --
-- usr/sbin/ip6tables-legacy-restore 0755 --
-- etc/rules --
*filter
COMMIT
`

// enabled is the link that starts a unit.
func enabled(units ...string) string {
	out := ""
	for _, u := range units {
		out += "-- etc/systemd/system/multi-user.target.wants/" + u + " -> x --\n"
	}
	return out
}

const (
	rules4 = "-- etc/iptables/rules.v4 --\n*filter\nCOMMIT\n"
	ufwOn  = "-- etc/default/ufw --\nIPV6=yes\nDEFAULT_INPUT_POLICY=\"DROP\"\nDEFAULT_OUTPUT_POLICY=ACCEPT\nDEFAULT_FORWARD_POLICY=DROP\n" +
		"-- etc/ufw/ufw.conf --\nENABLED=yes\n-- etc/ufw/before.rules --\n*filter\nCOMMIT\n-- etc/ufw/user.rules --\n*filter\nCOMMIT\n"
)

var (
	languages = map[Language]string{IPTables: "v4", IP6Tables: "v6", NFTables: "nft", IPSets: "ipset"}
	failures  = map[Failure]string{Open: "", Closed: " closed", NoNetwork: " no-network"}
	remarks   = map[remark.Kind]string{remark.Missed: "missed", remark.Opaque: "opaque", remark.Note: "note", remark.Cut: "cut"}
)

// describe is a load in one line.
func describe(l Load) string {
	out := fmt.Sprintf("%s %s %s", l.Starter, languages[l.Language], l.Backend)
	for _, p := range l.Parts {
		if p.File != "" {
			out += " " + p.File
		}
	}
	for _, f := range []struct {
		set  bool
		name string
	}{{l.Flush, " flush"}, {l.TestFirst, " test"}, {l.Late, " late"}, {l.Fallback != nil, " fallback"}} {
		if f.set {
			out += f.name
		}
	}
	return out + failures[l.Failure]
}

func TestWhatABootLoads(t *testing.T) {
	for name, tc := range map[string]struct {
		tree    string
		loads   []string
		remarks []string // kind and cause
	}{
		"nothing is there": {"", nil, nil},
		"netfilter-persistent": {rules4 + enabled("netfilter-persistent.service"),
			[]string{"netfilter-persistent.service v4 nft /etc/iptables/rules.v4 flush test"}, nil},
		"netfilter-persistent, IPv6 by the other back end": {rules4 + "-- etc/iptables/rules.v6 --\n" + enabled("netfilter-persistent.service"),
			[]string{"netfilter-persistent.service v4 nft /etc/iptables/rules.v4 flush test", "netfilter-persistent.service v6 legacy /etc/iptables/rules.v6 flush"}, nil},
		"a tool of /usr/local": {rules4 + "-- usr/local/sbin/iptables-restore -> /usr/sbin/iptables-legacy-restore --\n-- usr/sbin/iptables-legacy-restore 0755 --\n" + enabled("netfilter-persistent.service"),
			[]string{"netfilter-persistent.service v4 legacy /etc/iptables/rules.v4 flush test"}, nil},
		"its rules are missing":                          {enabled("netfilter-persistent.service"), nil, []string{"missed file-missing"}},
		"its rules lead nowhere":                         {"-- etc/iptables/rules.v4 -> /srv/gone --\n" + enabled("netfilter-persistent.service"), nil, []string{"missed file-dangling"}},
		"its plugin lacks a mode":                        {rules4 + "-- usr/share/netfilter-persistent/plugins.d/15-ip4tables --\n" + enabled("netfilter-persistent.service"), nil, []string{"missed plugin-not-executable"}},
		"its unit is not enabled":                        {rules4, nil, []string{"missed unit-not-started"}},
		"its unit is masked":                             {rules4 + enabled("netfilter-persistent.service") + "-- etc/systemd/system/netfilter-persistent.service -> /dev/null --\n", nil, []string{"missed unit-masked"}},
		"its unit does not run it":                       {rules4 + enabled("netfilter-persistent.service") + "-- etc/systemd/system/netfilter-persistent.service --\n[Service]\nExecStart=/bin/true\n", nil, []string{"missed unit-overridden"}},
		"its settings are code":                          {rules4 + enabled("netfilter-persistent.service") + "-- etc/default/netfilter-persistent --\nX=$(date)\n", []string{"netfilter-persistent.service v4 nft /etc/iptables/rules.v4 flush"}, []string{"opaque loader-not-understood"}},
		"nftables":                                       {"-- etc/nftables.conf --\nflush ruleset\n" + enabled("nftables.service"), []string{"nftables.service nft  /etc/nftables.conf"}, nil},
		"nftables that is off, as its package leaves it": {"-- etc/nftables.conf --\nflush ruleset\n", nil, nil},
		"nftables, an include is missing":                {"-- etc/nftables.conf --\ninclude \"site.nft\"\n" + enabled("nftables.service"), nil, []string{"missed include-missing"}},
		"nftables, a pattern fits nothing":               {"-- etc/nftables.conf --\ninclude \"/etc/nft.d/*.nft\"\n" + enabled("nftables.service"), []string{"nftables.service nft  /etc/nftables.conf"}, nil},
		"nftables, an include that the unit cannot see":  {"-- etc/nftables.conf --\ninclude \"/root/site.nft\"\n-- root/site.nft --\n" + enabled("nftables.service"), nil, []string{"missed include-protecthome"}},
		"ufw": {ufwOn + enabled("ufw.service"),
			[]string{"ufw.service v6 legacy closed", "ufw.service v4 nft /etc/ufw/before.rules /etc/ufw/user.rules closed"},
			[]string{"missed file-missing", "missed file-missing", "missed file-missing", "missed file-missing"}},
		"ufw that is off":      {strings.Replace(ufwOn, "ENABLED=yes", "ENABLED=no", 1) + enabled("ufw.service"), nil, []string{"note manager-off"}},
		"ufw that nobody runs": {ufwOn, nil, []string{"missed unit-not-started"}},
		"iptables-services": {"-- etc/sysconfig/iptables --\n-- etc/sysconfig/iptables.fallback --\n" + enabled("iptables.service"),
			[]string{"iptables.service v4 nft /etc/sysconfig/iptables flush fallback"}, nil},
		"iptables-services without rules": {enabled("iptables.service"), nil, []string{"missed unit-skipped"}},
		"firewalld takes its place": {"-- etc/sysconfig/iptables --\n" + enabled("iptables.service", "firewalld.service"), nil,
			[]string{"opaque loader-not-understood", "note manager-conflict-loser"}},
		"a unit of the administrator": {"-- etc/systemd/system/fw.service --\n[Service]\nExecStart=/bin/sh -c 'iptables-restore < /etc/rules'\n" + enabled("fw.service"),
			[]string{"fw.service v4 nft /etc/rules flush late"}, nil},
		"a unit of the administrator that is off": {"-- etc/systemd/system/fw.service --\n[Service]\nExecStart=/sbin/iptables-restore /etc/rules\n", nil, []string{"missed unit-not-started"}},
		"a unit with a redirection":               {"-- etc/systemd/system/fw.service --\n[Service]\nExecStart=/sbin/iptables-restore < /etc/rules\n" + enabled("fw.service"), nil, []string{"opaque loader-not-understood"}},
		"a unit by a timer": {"-- etc/systemd/system/fw.service --\n[Service]\nExecStart=/sbin/iptables-restore /etc/rules\n-- etc/systemd/system/fw.timer --\n[Timer]\nOnBootSec=60\n" + enabled("fw.timer"),
			[]string{"fw.timer v4 nft /etc/rules flush late"}, nil},
		"rc.local": {"-- etc/rc.local 0755 --\n#!/bin/sh -e\niptables-restore < /etc/rules\nexit 0\n-- usr/lib/systemd/system/rc-local.service --\n[Service]\nExecStart=/etc/rc.local start\n",
			[]string{"rc-local.service v4 nft /etc/rules flush late"}, nil},
		"rc.local that is not executable": {"-- etc/rc.local --\n#!/bin/sh -e\niptables-restore < /etc/rules\n", nil, []string{"missed loader-not-executable"}},
		"cron at boot": {"-- etc/cron.d/fw --\n@reboot root iptables-restore < /etc/rules\n" + enabled("cron.service"),
			[]string{"cron v4 nft /etc/rules flush late"}, nil},
		"a path starts a unit": {"-- etc/systemd/system/fw.service --\n[Service]\nExecStart=/sbin/iptables-restore /etc/rules\n-- etc/systemd/system/fw.path --\n[Path]\nPathExists=/etc/rules\n" + enabled("fw.path"),
			[]string{"fw.path v4 nft /etc/rules flush late"}, nil},
		"a script of cron.daily": {"-- etc/cron.daily/fw 0755 --\n#!/bin/sh\niptables-restore < /etc/rules\n-- etc/cron.daily/fw.off 0755 --\n#!/bin/sh\niptables -F\n" + enabled("cron.service"),
			[]string{"cron v4 nft /etc/rules flush late"}, nil},
		"a dispatcher of NetworkManager": {"-- usr/lib/systemd/system/NetworkManager.service --\n[Service]\nExecStart=/usr/sbin/NetworkManager\n" +
			"-- etc/NetworkManager/dispatcher.d/50-fw 0755 --\n#!/bin/sh\niptables-restore < /etc/rules\n-- etc/NetworkManager/dispatcher.d/60-open 0777 --\n#!/bin/sh\niptables -F\n" + enabled("NetworkManager.service"),
			[]string{"NetworkManager.service v4 nft /etc/rules flush late"}, nil},
		"cloud-init's configuration names a tool": {"-- usr/lib/systemd/system/cloud-init.service --\n[Service]\nExecStart=/usr/bin/cloud-init init\n-- etc/cloud/cloud.cfg.d/90.cfg --\nbootcmd:\n - iptables -F\n" + enabled("cloud-init.service"),
			nil, []string{"opaque loader-not-understood"}},
		"cron that is off": {"-- etc/cron.d/fw --\n@reboot root iptables-restore < /etc/rules\n", nil, nil},
		"ifupdown, before the link is up": {"-- etc/network/interfaces --\nauto eth0\niface eth0 inet dhcp\n  pre-up iptables-restore < /etc/rules\n" + enabled("networking.service"),
			[]string{"ifup eth0 v4 nft /etc/rules flush late no-network"}, nil},
		"ifupdown, its failure is ignored": {"-- etc/network/interfaces --\niface eth0 inet dhcp\n  pre-up iptables-restore < /etc/rules || true\n" + enabled("networking.service"),
			[]string{"ifup eth0 v4 nft /etc/rules flush late"}, nil},
		"ifupdown, the file is missing": {"-- etc/network/interfaces --\niface eth0 inet dhcp\n  pre-up iptables-restore < /etc/gone\n" + enabled("networking.service"),
			nil, []string{"missed file-missing", "cut loader-failure-stops-network"}},
		"ifupdown, of another link":  {"-- etc/network/interfaces --\niface eth1 inet dhcp\n  pre-up iptables-restore < /etc/gone\n" + enabled("networking.service"), nil, nil},
		"ifupdown, a hook by a name": {"-- etc/network/interfaces --\niface eth0 inet dhcp\n-- etc/network/if-pre-up.d/fw.sh 0755 --\n#!/bin/sh\niptables-restore < /etc/rules\n" + enabled("networking.service"), nil, []string{"missed loader-not-executable"}},
		"ifupdown, a hook":           {"-- etc/network/interfaces --\niface eth0 inet dhcp\n-- etc/network/if-pre-up.d/fw 0755 --\n#!/bin/sh\niptables-restore < /etc/rules\n" + enabled("networking.service"), []string{"ifup eth0 v4 nft /etc/rules flush late no-network"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tree := roottest.Tree(t, base+tc.tree)
			b, err := systemd.Read(tree)
			if err != nil {
				t.Fatal(err)
			}
			p := Read(tree, b, "eth0")
			var loads, said []string
			for _, l := range p.Loads {
				loads = append(loads, describe(l))
			}
			for _, r := range p.Remarks {
				said = append(said, remarks[r.Kind]+" "+r.Cause)
			}
			if !slices.Equal(loads, tc.loads) {
				t.Errorf("loads %q\n want %q", loads, tc.loads)
			}
			if !slices.Equal(said, tc.remarks) {
				t.Errorf("remarks %q (%v)\n   want %q", said, p.Remarks, tc.remarks)
			}
		})
	}
}

// TestOrder: of two managers neither of which waits for the other, either may be first.
func TestOrder(t *testing.T) {
	tree := roottest.Tree(t, base+rules4+"-- etc/nftables.conf --\n"+enabled("netfilter-persistent.service", "nftables.service", "cron.service")+
		"-- etc/cron.d/fw --\n@reboot root iptables-restore < /etc/rules\n")
	b, err := systemd.Read(tree)
	if err != nil {
		t.Fatal(err)
	}
	p := Read(tree, b, "eth0")
	if len(p.Loads) != 3 || p.Loads[2].Starter != "cron" {
		t.Fatalf("loads: %v", p.Loads)
	}
	if p.Ordered(p.Loads[0], p.Loads[1]) || p.Ordered(p.Loads[1], p.Loads[0]) {
		t.Error("the two units are ordered")
	}
	if !p.Ordered(p.Loads[0], p.Loads[2]) || p.Ordered(p.Loads[2], p.Loads[0]) {
		t.Error("cron does not come last")
	}
}
