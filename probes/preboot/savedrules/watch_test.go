package savedrules

import (
	"slices"
	"testing"
)

func TestWatch(t *testing.T) {
	w := WatchFor("/srv/fw/rules", "relative")
	for path, want := range map[string]bool{
		"/etc/iptables": true, "/etc/iptables/rules.v4": true, "/etc/iptables/anything": true, "/etc/sysconfig": true,
		"/etc/sysconfig/iptables": true, "/etc/sysconfig/network": false, "/etc/resolv.conf": false, "/etc/nftables.conf": true,
		"/etc/ssh/sshd_config": true, "/etc/ssh/sshd_config.d/x.conf": true, "/etc/ssh/ssh_config": false,
		"/etc/systemd/system/sysinit.target.wants/nftables.service": true, "/srv/fw/rules": true, "/srv": true, "/srv/other": false, "relative": false,
	} {
		if w.Concerns(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
	dirs := w.Dirs()
	for _, d := range []string{"/etc", "/etc/iptables", "/etc/sysconfig", "/etc/ssh", "/etc/ssh/sshd_config.d", "/srv", "/srv/fw"} {
		if !slices.Contains(dirs, d) {
			t.Errorf("%s is not watched", d)
		}
	}
	if slices.Contains(dirs, "/") || slices.Contains(dirs, ".") {
		t.Errorf("too much is watched: %q", dirs)
	}
}
