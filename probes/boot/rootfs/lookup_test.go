package rootfs_test

import (
	"slices"
	"testing"

	"lifeline/probes/boot/roottest"
)

const lookups = `
-- usr/bin/tool 0755 --
-- usr/sbin/tool --
-- etc/os-release --
# a comment
ID=debian
VERSION_ID="12"
-- etc/a/10.conf --
-- etc/a/.hidden.conf --
-- etc/a/other --
-- usr/a/10.conf --
-- usr/a/05.conf --
`

func TestLookups(t *testing.T) {
	r := roottest.Tree(t, lookups)
	if got := r.LookPath("tool"); got != "/usr/bin/tool" {
		t.Errorf("tool: %q", got)
	}
	if got := r.LookPath("gone"); got != "" {
		t.Errorf("gone: %q", got)
	}
	for pattern, want := range map[string][]string{
		"/etc/a/*": {"/etc/a/10.conf", "/etc/a/other"}, "/etc/a/.*": {"/etc/a/.hidden.conf"}, "/gone": {"/gone"}, "/gone/*": nil,
	} {
		if got := r.Glob(pattern); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", pattern, got, want)
		}
	}
	got, err := r.FirstByName([]string{"/etc/a", "/gone", "/usr/a"}, "0.conf")
	if want := []string{"/etc/a/10.conf"}; !slices.Equal(got, want) || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
	if os := r.OSRelease(); os["ID"] != "debian" || os["VERSION_ID"] != "12" {
		t.Errorf("%v", os)
	}
}
