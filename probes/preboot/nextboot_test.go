package preboot

import (
	"context"
	"errors"
	"strings"
	"testing"

	"lifeline/probes/boot/firewall"
	"lifeline/probes/boot/roottest"
)

// bootBase is a Debian of which management gets in: it loads saved rules that let it in.
const bootBase = `
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
-- usr/lib/systemd/system/ufw.service --
[Unit]
Wants=network-pre.target
Before=network-pre.target
[Service]
ExecStart=/usr/lib/ufw/ufw-init start
-- usr/lib/systemd/system/iptables.service --
[Service]
ExecStart=/usr/libexec/iptables/iptables.init start
-- usr/share/netfilter-persistent/plugins.d/15-ip4tables 0755 --
-- usr/sbin/iptables-restore -> iptables-nft-restore --
-- usr/sbin/iptables-nft-restore 0755 --
-- usr/sbin/ip6tables-restore -> iptables-nft-restore --
-- etc/ssh/ssh_host_ed25519_key 0600 --
-----BEGIN OPENSSH PRIVATE KEY-----
`

const (
	bootNet   = "-- etc/network/interfaces --\nauto eth0\niface eth0 inet static\n  address 192.0.2.10/24\n"
	bootSSHD  = "-- etc/ssh/sshd_config --\n"
	bootOn    = "-- etc/systemd/system/multi-user.target.wants/"
	bootOpen  = "*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 22 -j ACCEPT\nCOMMIT\n"
	bootShut  = "*filter\n:INPUT DROP [0:0]\nCOMMIT\n"
	bootRules = "-- etc/iptables/rules.v4 --\n"
	bootUFW   = "-- etc/default/ufw --\nIPV6=no\nDEFAULT_INPUT_POLICY=\"DROP\"\nDEFAULT_OUTPUT_POLICY=ACCEPT\nDEFAULT_FORWARD_POLICY=DROP\n" +
		"-- etc/ufw/ufw.conf --\nENABLED=yes\n" +
		"-- etc/ufw/before.rules --\n*filter\n:ufw-not-local - [0:0]\n-A ufw-before-input -i lo -j ACCEPT\nCOMMIT\n-- etc/ufw/after.rules --\n*filter\n:ufw-after-input - [0:0]\nCOMMIT\n" +
		"-- etc/ufw/user.rules --\n*filter\n:ufw-user-input - [0:0]\n"
)

func bootOptions(root string) Options {
	return Options{Root: root, Engines: []Engine{Analysis}, Iface: "eth0", Dst: addrs("192.0.2.10"), Ports: []uint16{22}, Mgmt: prefixes("10.0.0.0/8")}
}

// bootChecker has no scratch namespace: the parser tells what loads.
func bootChecker() checker {
	c := fakeChecker(newFakeHost(), nil, "/")
	c.testbeds = func(bool) []testbedOpener { return nil }
	return c
}

// TestNextBoot asks for the next boot of roots that differ in one thing each.
func TestNextBoot(t *testing.T) {
	schema := readSchema(t)
	np, nft, ufw, rhel := bootOn+"netfilter-persistent.service -> x --\n", bootOn+"nftables.service -> x --\n", bootOn+"ufw.service -> x --\n", bootOn+"iptables.service -> x --\n"
	for name, tc := range map[string]struct {
		tree string
		want Verdict
		says string // in the reason
	}{
		"rules that let it in":         {bootNet + bootSSHD + bootRules + bootOpen + np, Safe, "lets management in"},
		"rules that do not":            {bootNet + bootSSHD + bootRules + bootShut + np, Unsafe, "/etc/iptables/rules.v4:2: :INPUT DROP [0:0]"},
		"no rules, and none are meant": {bootNet + bootSSHD, Safe, "lets management in"},
		"rules that nobody loads":      {bootNet + bootSSHD + bootRules + bootShut, Unknown, "netfilter-persistent.service is not enabled"},
		"rules that do not load":       {bootNet + bootSSHD + bootRules + "*filter\n-A INPUT -j ACEPT\nCOMMIT\n" + np, Unknown, "does not load"},
		"rules without a table":        {bootNet + bootSSHD + bootRules + "# nothing\n" + np, Unknown, "holds no table"},
		"a unit that is masked":        {bootNet + bootSSHD + bootRules + bootOpen + np + "-- etc/systemd/system/netfilter-persistent.service -> /dev/null --\n", Unknown, "/dev/null"},
		"sshd elsewhere":               {bootNet + bootSSHD + "Port 2222\n" + bootRules + bootOpen + np, Unsafe, "sshd will not listen on port 22"},
		"sshd refuses its config":      {bootNet + bootSSHD + "Prot 22\n" + bootRules + bootOpen + np, Unsafe, "Prot"},
		"no address":                   {bootSSHD + bootRules + bootOpen + np, Unsafe, "nothing configures eth0"},
		"a firewall in either order":   {bootNet + bootSSHD + bootRules + bootOpen + np + nft + "-- etc/nftables.conf --\nflush ruleset\n", Unknown, "is not determined"},
		"nft that drops everything":    {bootNet + bootSSHD + nft + "-- etc/nftables.conf --\ntable inet f {\n chain i {\n  type filter hook input priority 0; policy drop;\n }\n}\n", Unsafe, "locked out"},
		"ufw lets it in":               {bootNet + bootSSHD + bootUFW + "-A ufw-user-input -p tcp --dport 22 -j ACCEPT\nCOMMIT\n" + ufw, Safe, ""},
		"ufw does not":                 {bootNet + bootSSHD + bootUFW + "-A ufw-user-input -p tcp --dport 80 -j ACCEPT\nCOMMIT\n" + ufw, Unsafe, "locked out"},
		"ufw fails closed":             {bootNet + bootSSHD + bootUFW + "-A ufw-user-input -p tcp --dport 99999 -j ACCEPT\nCOMMIT\n" + ufw, Unsafe, "locked out"},
		"a fallback lets it in":        {bootNet + bootSSHD + "-- etc/sysconfig/iptables --\n*filter\n-A INPUT -j ACEPT\nCOMMIT\n-- etc/sysconfig/iptables.fallback --\n" + bootOpen + rhel, Unknown, "/etc/sysconfig/iptables.fallback is loaded in its place"},
		"a fallback does not":          {bootNet + bootSSHD + "-- etc/sysconfig/iptables --\n*filter\n-A INPUT -j ACEPT\nCOMMIT\n-- etc/sysconfig/iptables.fallback --\n" + bootShut + rhel, Unsafe, "/etc/sysconfig/iptables.fallback:2"},
		"rules are saved on the way":   {bootNet + bootSSHD + "-- etc/sysconfig/iptables --\n" + bootOpen + "-- etc/sysconfig/iptables-config --\nIPTABLES_SAVE_ON_STOP=yes\n" + rhel, Unknown, "saves the rules that run"},
		"a failure leaves no network":  {bootSSHD + strings.TrimSuffix(bootNet, "\n") + "\n  pre-up iptables-restore < /etc/fw\n-- etc/fw --\n*filter\n-A INPUT -j ACEPT\nCOMMIT\n", Unsafe, "does not configure the link"},
		"cron shuts it later":          {bootNet + bootSSHD + "-- etc/cron.d/fw --\n@reboot root iptables-restore < /etc/fw\n-- etc/fw --\n" + bootShut + "-- usr/lib/systemd/system/cron.service --\n[Service]\nExecStart=/usr/sbin/cron\n" + bootOn + "cron.service -> x --\n", Unsafe, "/etc/fw:2"},
	} {
		t.Run(name, func(t *testing.T) {
			c := bootChecker()
			r, err := c.check(context.Background(), bootOptions(roottest.Dir(t, bootBase+tc.tree)))
			if err != nil {
				t.Fatal(err)
			}
			if r.Verdict != tc.want || !strings.Contains(r.Reason, tc.says) {
				t.Errorf("%s: %s\nwant %s: %q\n%v", r.Verdict, r.Reason, tc.want, tc.says, r.Boot)
			}
			r.checkSchema(t, schema, "report")
		})
	}
}

func TestRootIsAskedAboutPlainly(t *testing.T) {
	c := bootChecker()
	for name, change := range map[string]func(*Options){
		"no link":           func(o *Options) { o.Iface = "" },
		"no sources":        func(o *Options) { o.Mgmt = nil },
		"no such directory": func(o *Options) { o.Root += "/gone" },
		"rules files too":   func(o *Options) { o.Rules4 = []string{"rules"} },
	} {
		o := bootOptions(roottest.Dir(t, bootBase))
		change(&o)
		_, err := c.check(context.Background(), o)
		var wrong *UsageError
		if !errors.As(err, &wrong) {
			t.Errorf("%s: %v, want an error of usage", name, err)
		}
	}
}

// TestIncludesOfABootAreCounted: what a file includes asks for kernel memory each time that
// it is included.
func TestIncludesOfABootAreCounted(t *testing.T) {
	part := func(name string) firewall.Part { return firewall.Part{File: name, Text: []byte("table inet f {}\n")} }
	files := bootFiles(question{}, []firewall.Load{{Language: firewall.NFTables, Parts: []firewall.Part{part("/etc/nftables.conf")},
		Includes: []firewall.Part{part("/etc/a.nft"), part("/etc/a.nft")}}})
	times := 0
	for _, f := range files {
		for _, in := range f.Includes {
			times += in.Times
		}
	}
	if times != 2 {
		t.Errorf("two includes are counted %d times", times)
	}
}
