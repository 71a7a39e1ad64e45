package sshd

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/roottest"
	"lifeline/probes/boot/systemd"
)

// base is a Debian whose sshd is enabled and has a key.
const base = `
-- etc/machine-id --
0123456789abcdef0123456789abcdef
-- etc/os-release --
ID=debian
VERSION_ID="12"
-- usr/lib/systemd/system/default.target -> multi-user.target --
-- usr/lib/systemd/system/multi-user.target --
[Unit]
Wants=sockets.target
-- usr/lib/systemd/system/sockets.target --
[Unit]
-- usr/lib/systemd/system/ssh.service --
[Unit]
ConditionPathExists=!/etc/ssh/sshd_not_to_be_run
[Service]
EnvironmentFile=-/etc/default/ssh
ExecStart=/usr/sbin/sshd -D $SSHD_OPTS
Restart=on-failure
RestartPreventExitStatus=255
-- usr/lib/systemd/system/ssh.socket --
[Socket]
ListenStream=22
-- etc/ssh/ssh_host_ed25519_key 0600 --
-----BEGIN OPENSSH PRIVATE KEY-----
`

const (
	service = "-- etc/systemd/system/multi-user.target.wants/ssh.service -> x --\n"
	socket  = "-- etc/systemd/system/sockets.target.wants/ssh.socket -> x --\n"
)

func conf(text string) string { return "-- etc/ssh/sshd_config --\n" + text + "\n" }

func TestWhereSSHDListens(t *testing.T) {
	both := func(port string) []string { return []string{"0.0.0.0:" + port, "[::]:" + port} }
	for name, tc := range map[string]struct {
		tree    string
		listens []string
		remarks []string // kind and cause
	}{
		"by default":                          {service + conf(""), both("22"), nil},
		"nothing starts it":                   {conf(""), nil, []string{"cut sshd-disabled"}},
		"it is not to be run":                 {service + conf("") + "-- etc/ssh/sshd_not_to_be_run --\n", nil, []string{"cut sshd-not-to-be-run"}},
		"it is masked":                        {service + conf("") + "-- etc/systemd/system/ssh.service -> /dev/null --\n", nil, []string{"cut sshd-disabled"}},
		"a port":                              {service + conf("Port 2222"), both("2222"), nil},
		"two ports":                           {service + conf("Port 22\nport=2222"), []string{"0.0.0.0:22", "0.0.0.0:2222", "[::]:22", "[::]:2222"}, nil},
		"ports of an include are added":       {service + conf("Include sshd_config.d/*.conf\nPort 22") + "-- etc/ssh/sshd_config.d/a.conf --\nPort 2222\n-- etc/ssh/sshd_config.d/b.bak --\nPort 9\n", []string{"0.0.0.0:2222", "0.0.0.0:22", "[::]:2222", "[::]:22"}, nil},
		"an include that is missing":          {service + conf("Include /etc/ssh/gone.conf\nPort 22"), both("22"), nil},
		"a match of an include ends with it":  {service + conf("Include /etc/ssh/a.conf\nPort 2222") + "-- etc/ssh/a.conf --\nMatch user x\nX11Forwarding no\n", both("2222"), nil},
		"an address":                          {service + conf("ListenAddress 192.0.2.10"), []string{"192.0.2.10:22"}, nil},
		"an address with a port":              {service + conf("Port 2222\nListenAddress 192.0.2.10:22\nListenAddress ::1"), []string{"192.0.2.10:22", "[::1]:2222"}, nil},
		"an address that nobody has":          {service + conf("ListenAddress 192.0.2.99"), nil, []string{"note sshd-listenaddress-absent", "cut sshd-listenaddress-absent"}},
		"one of two addresses":                {service + conf("ListenAddress 192.0.2.99\nListenAddress 192.0.2.10"), []string{"192.0.2.10:22"}, []string{"note sshd-listenaddress-absent"}},
		"an address that comes late":          {service + conf("ListenAddress 192.0.2.77"), []string{"192.0.2.77:22"}, []string{"opaque sshd-listenaddress-late"}},
		"an address that comes late, retried": {service + conf("ListenAddress 192.0.2.77") + "-- etc/systemd/system/ssh.service.d/r.conf --\n[Service]\nRestartPreventExitStatus=\nRestartSec=42s\n", []string{"192.0.2.77:22"}, []string{"note sshd-listenaddress-late"}},
		"an address by name":                  {service + conf("ListenAddress mgmt.example.net"), nil, []string{"opaque sshd-listenaddress-hostname"}},
		"one family":                          {service + conf("AddressFamily inet\nAddressFamily any"), []string{"0.0.0.0:22"}, []string{"note sshd-addressfamily"}},
		"one family and an address of both":   {service + conf("AddressFamily inet\nListenAddress ::"), nil, []string{"cut sshd-config-error"}},
		"options":                             {service + conf("Port 22") + "-- etc/default/ssh --\nSSHD_OPTS=\"-p 2222\"\n", both("2222"), nil},
		"options keep an address's port":      {service + conf("ListenAddress 192.0.2.10:22") + "-- etc/default/ssh --\nSSHD_OPTS=\"-p 2222\"\n", []string{"192.0.2.10:22"}, nil},
		"another file":                        {service + conf("Port 22") + "-- etc/default/ssh --\nSSHD_OPTS=-f /etc/ssh/other\n-- etc/ssh/other --\nPort 2222\n", both("2222"), nil},
		"an option that sets a port":          {service + conf("") + "-- etc/default/ssh --\nSSHD_OPTS=-oPort=2222\n", both("2222"), nil},
		"no configuration":                    {service, nil, []string{"cut sshd-config-missing"}},
		"an unknown keyword":                  {service + conf("Prot 22"), nil, []string{"cut sshd-config-error"}},
		"an unknown keyword within a match":   {service + conf("Match user x\nProt 22"), nil, []string{"cut sshd-config-error"}},
		"a port within a match":               {service + conf("Match user x\nPort 22"), nil, []string{"cut sshd-config-error"}},
		"a bad port":                          {service + conf("Port ssh"), nil, []string{"cut sshd-config-error"}},
		"a keyword without its argument":      {service + conf("PermitRootLogin"), nil, []string{"cut sshd-config-error"}},
		"keywords of other versions":          {service + conf("Protocol 2\nUsePrivilegeSeparation sandbox\nGSSAPIKeyExchange yes\nDebianBanner no"), both("22"), nil},
		"no key":                              {service + conf("HostKey /etc/ssh/gone"), nil, []string{"cut sshd-hostkeys-missing"}},
		"a key that others may read":          {service + conf("HostKey /etc/ssh/open") + "-- etc/ssh/open 0644 --\n-----BEGIN OPENSSH PRIVATE KEY-----\n", nil, []string{"cut sshd-hostkeys-missing"}},
		"an empty key":                        {service + conf("HostKey /etc/ssh/empty") + "-- etc/ssh/empty 0600 --\n", nil, []string{"cut sshd-hostkeys-missing"}},
		"keys that are made at boot": {service + conf("HostKey /etc/ssh/gone") + "-- etc/systemd/system/ssh.service.d/k.conf --\n[Unit]\nWants=sshd-keygen.target\n" +
			"-- usr/lib/systemd/system/sshd-keygen.target --\n[Unit]\nWants=sshd-keygen@rsa.service\n-- usr/lib/systemd/system/sshd-keygen@.service --\n[Service]\nExecStart=/usr/libexec/openssh/sshd-keygen %i\n",
			both("22"), []string{"note sshd-hostkeys-made"}},
		"a socket":                       {socket + conf("Port 2222"), []string{"[::]:22", "0.0.0.0:22"}, nil},
		"a socket on another port":       {socket + conf("") + "-- etc/systemd/system/ssh.socket.d/p.conf --\n[Socket]\nListenStream=\nListenStream=2222\n", []string{"[::]:2222", "0.0.0.0:2222"}, nil},
		"a socket and the service":       {socket + service + conf("Port 2222"), []string{"[::]:22", "0.0.0.0:22"}, []string{"note ssh-socket-port"}},
		"a socket with an address":       {socket + conf("") + "-- etc/systemd/system/ssh.socket.d/p.conf --\n[Socket]\nListenStream=\nListenStream=192.0.2.77:22\n", nil, []string{"cut ssh-socket-address"}},
		"a socket with FreeBind":         {socket + conf("") + "-- etc/systemd/system/ssh.socket.d/p.conf --\n[Socket]\nListenStream=\nListenStream=192.0.2.77:22\nFreeBind=yes\n", []string{"192.0.2.77:22"}, nil},
		"a socket, and a bad config":     {socket + conf("Prot 1"), nil, []string{"cut sshd-config-error"}},
		"a socket made by the generator": {socket + conf("Port 2222") + "-- usr/lib/systemd/system-generators/sshd-socket-generator 0755 --\n", both("2222"), []string{"note ssh-socket-generator"}},
		"a generator that is overridden": {socket + conf("Port 2222") + "-- usr/lib/systemd/system-generators/sshd-socket-generator 0755 --\n-- etc/systemd/system/ssh.socket.d/addresses.conf --\n[Socket]\nListenStream=\nListenStream=22\n", []string{"[::]:22", "0.0.0.0:22"}, nil},
		"hosts.deny":                     {service + conf("") + "-- etc/hosts.deny --\n# x\nALL: ALL\n", both("22"), []string{"cut hosts-deny"}},
		"hosts.deny of another service":  {service + conf("") + "-- etc/hosts.deny --\nsmtp: ALL\n", both("22"), nil},
		"hosts.allow":                    {service + conf("") + "-- etc/hosts.deny --\nALL: ALL\n-- etc/hosts.allow --\nsshd: 10.0.0.0/255.0.0.0\n", both("22"), []string{"opaque hosts-deny"}},
		"nologin":                        {service + conf("") + "-- etc/nologin --\n", both("22"), []string{"note nologin"}},
	} {
		t.Run(name, func(t *testing.T) {
			tree := roottest.Tree(t, base+tc.tree)
			b, err := systemd.Read(tree)
			if err != nil {
				t.Fatal(err)
			}
			s := Read(tree, b, func(a netip.Addr) Presence {
				switch a.String() {
				case "192.0.2.10":
					return Early
				case "192.0.2.77":
					return Late
				}
				return Absent
			})
			var listens, remarks []string
			for _, l := range s.Listens {
				listens = append(listens, l.At.String())
			}
			kinds := map[remark.Kind]string{remark.Note: "note", remark.Missed: "missed", remark.Opaque: "opaque", remark.Cut: "cut"}
			for _, r := range s.Remarks {
				remarks = append(remarks, kinds[r.Kind]+" "+r.Cause)
			}
			if !slices.Equal(listens, tc.listens) {
				t.Errorf("listens %q, want %q", listens, tc.listens)
			}
			if !slices.Equal(remarks, tc.remarks) {
				t.Errorf("remarks %v, want %q", s.Remarks, tc.remarks)
			}
		})
	}
}

func TestSplitAddress(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1 0 ", "192.0.2.1:22": "192.0.2.1 22 ", "[2001:db8::1]:22": "2001:db8::1 22 ", "2001:db8::1": "2001:db8::1 0 ",
		"*": "0.0.0.0 0 ", "host": "invalid IP 0 host", "host:22": "invalid IP 22 host",
	} {
		a, port, name := splitAddress(in)
		if got := fmt.Sprintf("%v %d %s", a, port, name); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

func FuzzConfig(f *testing.F) {
	f.Add("Port 22\nMatch user \"x y\"\nInclude a b\n")
	f.Add("ListenAddress [::1]:22 # x\nport=\"22\n")
	f.Fuzz(func(t *testing.T, text string) {
		for raw := range strings.Lines(text) {
			if l, ok := split(raw); ok && l.key == "" {
				t.Errorf("%q has no keyword and is taken for a line", raw)
			}
		}
	})
}
