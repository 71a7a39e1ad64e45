package lab

import (
	"strings"
	"testing"
)

func TestIdentityRoundTrip(t *testing.T) {
	id := identity{owner{4711, 123456}, "0011aabb"}
	for _, host := range []string{"", "srv"} {
		name := id.String()
		if host != "" {
			name += "-" + host
		}
		got, gotHost, ok := parseIdentity(name)
		if !ok || got != id || gotHost != host {
			t.Errorf("%s: %v, %q, %v", name, got, gotHost, ok)
		}
	}
}

func TestForeignNamesAreNotIdentities(t *testing.T) {
	for _, name := range []string{"", "ll", "ll-1-2", "ll-1-2-short", "ll-0-2-0011aabb", "ll-x-2-0011aabb",
		"ll-1-x-0011aabb", "ll--1-2-0011aabb", "xx-1-2-0011aabb", "ll-1-2-0011aabb-srv-more", "production"} {
		if id, _, ok := parseIdentity(name); ok {
			t.Errorf("%q taken for %v", name, id)
		}
	}
}

func TestParseStartTime(t *testing.T) {
	const tail = " S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20"
	for _, comm := range []string{"(rsync)", "(a b)", "(evil) R 1 2 3)"} {
		got, err := parseStartTime([]byte("77 " + comm + tail))
		if err != nil || got != 4242 {
			t.Errorf("%s: %d, %v", comm, got, err)
		}
	}
	for _, bad := range []string{"", "77 rsync S 1", "77 (rsync) S 1 2 3", "77 (rsync)" + strings.Replace(tail, "4242", "-", 1)} {
		if got, err := parseStartTime([]byte(bad)); err == nil {
			t.Errorf("%q: %d, no error", bad, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("ll-1-2-0011aabb-srv", []byte("77 (rsync) S 1 2 3"))
	f.Fuzz(func(t *testing.T, name string, stat []byte) {
		if id, host, ok := parseIdentity(name); ok && !strings.HasSuffix(name, host) {
			t.Errorf("%q: %v, host %q", name, id, host)
		}
		_, _ = parseStartTime(stat)
	})
}
