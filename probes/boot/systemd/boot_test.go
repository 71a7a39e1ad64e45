package systemd

import (
	"strings"
	"testing"

	"lifeline/probes/boot/roottest"
)

// base is the part of a tree that every boot goes through.
const base = `
-- etc/machine-id --
0123456789abcdef0123456789abcdef
-- usr/lib/systemd/system/default.target -> graphical.target --
-- usr/lib/systemd/system/graphical.target --
[Unit]
Requires=multi-user.target
Wants=display-manager.service
After=multi-user.target
-- usr/lib/systemd/system/multi-user.target --
[Unit]
Requires=basic.target
After=basic.target
-- usr/lib/systemd/system/basic.target --
[Unit]
Requires=sysinit.target
Wants=sockets.target
After=sysinit.target sockets.target
-- usr/lib/systemd/system/sysinit.target --
[Unit]
Description=System Initialization
-- usr/lib/systemd/system/sockets.target --
[Unit]
Description=Sockets
-- usr/lib/systemd/system/network-pre.target --
[Unit]
Description=Preparation for Network
-- usr/lib/systemd/system/network.target --
[Unit]
After=network-pre.target
-- usr/lib/systemd/system/fw.service --
[Unit]
Wants=network-pre.target
Before=network-pre.target
[Service]
Type=oneshot
ExecStart=/usr/sbin/fw start
[Install]
WantedBy=multi-user.target
-- usr/lib/systemd/system/ssh.service --
[Unit]
After=network.target
[Service]
ExecStart=/usr/sbin/sshd -D
[Install]
WantedBy=multi-user.target
Alias=sshd.service
`

// TestWhatABootStarts has one mechanism each by which a unit starts or stays out.
func TestWhatABootStarts(t *testing.T) {
	const wants = "-- etc/systemd/system/multi-user.target.wants/fw.service -> /usr/lib/systemd/system/fw.service --\n"
	for name, tc := range map[string]struct {
		tree string
		unit string
		want State
		says []string // in Why or Names
	}{
		"enabled":                     {wants, "fw.service", Starts, nil},
		"not enabled":                 {"", "fw.service", Out, []string{"not enabled"}},
		"a link that leads nowhere":   {"-- etc/systemd/system/multi-user.target.wants/fw.service -> /gone/fw.service --\n", "fw.service", Starts, nil},
		"a link under another name":   {"-- etc/systemd/system/multi-user.target.wants/other.service -> /usr/lib/systemd/system/fw.service --\n", "fw.service", Out, nil},
		"the link masks":              {"-- etc/systemd/system/multi-user.target.wants/fw.service -> /dev/null --\n", "fw.service", Out, []string{"/etc/systemd/system/multi-user.target.wants/fw.service", "/dev/null"}},
		"the link masks a later one":  {"-- etc/systemd/system/multi-user.target.wants/fw.service -> /dev/null --\n-- usr/lib/systemd/system/multi-user.target.wants/fw.service -> ../fw.service --\n", "fw.service", Out, nil},
		"static, from the package":    {"-- usr/lib/systemd/system/sysinit.target.wants/fw.service -> ../fw.service --\n", "fw.service", Starts, nil},
		"wanted by a drop-in":         {"-- etc/systemd/system/multi-user.target.d/fw.conf --\n[Unit]\nWants=fw.service\n", "fw.service", Starts, nil},
		"masked":                      {wants + "-- etc/systemd/system/fw.service -> /dev/null --\n", "fw.service", Masked, []string{"/etc/systemd/system/fw.service", "/dev/null"}},
		"masked by an empty file":     {wants + "-- etc/systemd/system/fw.service --\n", "fw.service", Masked, []string{"/etc/systemd/system/fw.service"}},
		"by its alias":                {"-- etc/systemd/system/sshd.service -> /lib/systemd/system/ssh.service --\n-- lib -> usr/lib --\n-- etc/systemd/system/multi-user.target.wants/sshd.service -> x --\n", "ssh.service", Starts, nil},
		"for a target that is not":    {"-- etc/systemd/system/rescue.target.wants/fw.service -> x --\n", "fw.service", Out, []string{"rescue.target", "default.target"}},
		"default.target is another":   {wants + "-- etc/systemd/system/default.target -> /usr/lib/systemd/system/sysinit.target --\n", "fw.service", Out, []string{"multi-user.target", "sysinit.target"}},
		"condition false":             {wants + "-- etc/systemd/system/fw.service.d/c.conf --\n[Unit]\nConditionPathExists=/etc/fw.on\n", "fw.service", Skipped, []string{"/etc/systemd/system/fw.service.d/c.conf", "ConditionPathExists=/etc/fw.on"}},
		"condition true":              {wants + "-- etc/systemd/system/fw.service.d/c.conf --\n[Unit]\nConditionPathExists=/etc/fw.on\n-- etc/fw.on --\n", "fw.service", Starts, nil},
		"condition negated":           {wants + "-- etc/systemd/system/fw.service.d/c.conf --\n[Unit]\nConditionPathExists=!/etc/fw.on\n-- etc/fw.on --\n", "fw.service", Skipped, nil},
		"one of two triggers":         {wants + "-- etc/systemd/system/fw.service.d/c.conf --\n[Unit]\nConditionPathExists=|/etc/fw.on\nConditionPathExists=|/etc/machine-id\n", "fw.service", Starts, nil},
		"condition cleared":           {wants + "-- etc/systemd/system/fw.service.d/c.conf --\n[Unit]\nConditionPathExists=/etc/fw.on\nConditionPathExists=\n", "fw.service", Starts, nil},
		"condition of the machine":    {wants + "-- etc/systemd/system/fw.service.d/c.conf --\n[Unit]\nConditionKernelCommandLine=fw\n", "fw.service", Doubtful, []string{"ConditionKernelCommandLine=fw"}},
		"assertion false":             {wants + "-- etc/systemd/system/fw.service.d/c.conf --\n[Unit]\nAssertPathExists=/etc/fw.rules\n", "fw.service", Fails, []string{"AssertPathExists", "/etc/fw.rules"}},
		"a conflict is lost":          {wants + "-- etc/systemd/system/multi-user.target.wants/wall.service -> x --\n-- etc/systemd/system/wall.service --\n[Unit]\nConflicts=fw.service\n[Service]\nExecStart=/bin/wall\n", "fw.service", Dropped, []string{"wall.service", "Conflicts=fw.service"}},
		"the conflict's other side":   {wants + "-- etc/systemd/system/multi-user.target.wants/wall.service -> x --\n-- etc/systemd/system/wall.service --\n[Unit]\nConflicts=fw.service\n[Service]\nExecStart=/bin/wall\n", "wall.service", Starts, nil},
		"a conflict with what is out": {wants + "-- etc/systemd/system/wall.service --\n[Unit]\nConflicts=fw.service\n[Service]\nExecStart=/bin/wall\n", "fw.service", Starts, nil},
		"a conflict on both sides":    {wants + "-- etc/systemd/system/fw.service.d/c.conf --\n[Unit]\nConflicts=wall.service\n-- etc/systemd/system/multi-user.target.wants/wall.service -> x --\n-- etc/systemd/system/wall.service --\n[Unit]\nConflicts=fw.service\n[Service]\nExecStart=/bin/wall\n", "fw.service", Doubtful, nil},
		"requires what is missing":    {wants + "-- etc/systemd/system/fw.service.d/c.conf --\n[Unit]\nRequires=gone.service\n", "fw.service", Doubtful, []string{"gone.service"}},
		"an init script":              {"-- etc/init.d/old 0755 --\n#!/bin/sh\n-- etc/rc2.d/S01old -> ../init.d/old --\n", "old.service", Starts, nil},
		"an init script of rcS.d":     {"-- etc/init.d/old 0755 --\n#!/bin/sh\n-- etc/rcS.d/S01old -> ../init.d/old --\n", "old.service", Out, nil},
		"an init script not for exec": {"-- etc/init.d/old --\n#!/bin/sh\n-- etc/rc2.d/S01old -> ../init.d/old --\n", "old.service", Missing, nil},
		"an init script and a unit":   {"-- etc/init.d/fw 0755 --\n#!/bin/sh\n-- etc/rc2.d/S01fw -> ../init.d/fw --\n", "fw.service", Starts, nil},
		"rc.local":                    {"-- etc/rc.local 0755 --\n#!/bin/sh\n-- usr/lib/systemd/system/rc-local.service --\n[Service]\nExecStart=/etc/rc.local start\n", "rc-local.service", Starts, nil},
		"rc.local not executable":     {"-- etc/rc.local --\n#!/bin/sh\n-- usr/lib/systemd/system/rc-local.service --\n[Service]\nExecStart=/etc/rc.local start\n", "rc-local.service", Out, nil},
		"an instance of a template":   {"-- etc/systemd/system/multi-user.target.wants/get@eth0.service -> x --\n-- usr/lib/systemd/system/get@.service --\n[Service]\nExecStart=/bin/get %i\n", "get@eth0.service", Starts, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := Read(roottest.Tree(t, base+tc.tree))
			if err != nil {
				t.Fatal(err)
			}
			j := b.Job(tc.unit)
			if j.State != tc.want {
				t.Errorf("%s: %v (%s), want %v", tc.unit, j.State, j.Why, tc.want)
			}
			for _, s := range tc.says {
				if !strings.Contains(j.Why+"\n"+strings.Join(j.Names, "\n"), s) {
					t.Errorf("%q is not in %q and %q", s, j.Why, j.Names)
				}
			}
		})
	}
}

// TestFirstBoot enables what no preset disables, but only where the machine id says so.
func TestFirstBoot(t *testing.T) {
	const rest = "-- usr/lib/systemd/system-preset/90-site.preset --\ndisable ssh.*\n"
	for id, want := range map[string]State{
		"uninitialized\n":                    Starts,
		"0123456789abcdef0123456789abcdef\n": Out,
		"":                                   Out,
	} {
		tree := strings.Replace(base, "0123456789abcdef0123456789abcdef\n", id, 1) + rest
		b, err := Read(roottest.Tree(t, tree))
		if err != nil {
			t.Fatal(err)
		}
		if j := b.Job("fw.service"); j.State != want {
			t.Errorf("machine id %q: fw.service %v, want %v", id, j.State, want)
		}
		if j := b.Job("ssh.service"); j.State != Out {
			t.Errorf("machine id %q: a preset disables ssh.service, and it is %v", id, j.State)
		}
	}
}

func TestBefore(t *testing.T) {
	b, err := Read(roottest.Tree(t, base+`
-- etc/systemd/system/multi-user.target.wants/fw.service -> x --
-- etc/systemd/system/multi-user.target.wants/ssh.service -> x --
-- etc/systemd/system/multi-user.target.wants/late.service -> x --
-- etc/systemd/system/late.service --
[Service]
ExecStart=/bin/late
-- etc/systemd/system/network.target.wants/nothing.service -> x --
-- etc/systemd/system/ssh.service.d/net.conf --
[Unit]
Wants=network.target
`))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		first, then string
		want        bool
	}{
		{"fw.service", "ssh.service", true},
		{"ssh.service", "fw.service", false},
		{"sysinit.target", "fw.service", true},
		{"fw.service", "late.service", false},
		{"late.service", "fw.service", false},
		{"late.service", "multi-user.target", true},
	} {
		if got := b.Before(tc.first, tc.then); got != tc.want {
			t.Errorf("%s before %s: %t, want %t", tc.first, tc.then, got, tc.want)
		}
	}
}

func TestUnknownGeneratorIsADoubt(t *testing.T) {
	b, err := Read(roottest.Tree(t, base+`
-- usr/lib/systemd/system-generators/systemd-fstab-generator 0755 --
-- etc/systemd/system-generators/site 0755 --
#!/bin/sh
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Doubts) != 1 || b.Doubts[0].Path != "/etc/systemd/system-generators/site" {
		t.Errorf("doubts: %v", b.Doubts)
	}
}
