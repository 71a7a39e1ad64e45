package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWarnAbsent(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lifeline.toml")
	text := `link.wan7.capacity_rx = "1Gbit"
link.wan7.capacity_tx = "1Gbit"
[link.default]
egress = "socket"
[link.eth0]
egress = "off"
[link."eth0.5"]
egress = "off"
  [link.eht0]
  egress = "off"
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		there []string
		want  string
	}{
		{[]string{"lo", "eth0", "eth0.5", "eht0", "wan7"}, ""},
		{[]string{"lo", "wg0", "eth0", "eth0.5"}, `
FILE:9:4: key "link.eht0": warning: this host has no link "eht0", so its settings serve nothing until one comes: did you mean "eth0"? (there: eth0, eth0.5, wg0)
FILE:1:1: key "link.wan7": warning: this host has no link "wan7", so its settings serve nothing until one comes (there: eth0, eth0.5, wg0)`},
		{[]string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "eth0", "eth0.5", "eht0"}, `
FILE:1:1: key "link.wan7": warning: this host has no link "wan7", so its settings serve nothing until one comes (there: a, b, c, d, e, eht0, eth0, eth0.5 and 4 more)`},
		{[]string{"lo", "eth0", "eth0.5", "wan7"}, `
FILE:9:4: key "link.eht0": warning: this host has no link "eht0", so its settings serve nothing until one comes: did you mean "eth0"? (there: eth0, eth0.5, wan7)`},
		{[]string{"eth0", "eth0.5", "wan7", "e\x1b[2J"}, `
FILE:9:4: key "link.eht0": warning: this host has no link "eht0", so its settings serve nothing until one comes: did you mean "eth0"? (there: e\x1b[2J, eth0, eth0.5, wan7)`},
		{nil, `
FILE:9:4: key "link.eht0": warning: this host has no link "eht0", so its settings serve nothing until one comes (there: none)
FILE:5:2: key "link.eth0": warning: this host has no link "eth0", so its settings serve nothing until one comes (there: none)
FILE:7:2: key "link.eth0.5": warning: this host has no link "eth0.5", so its settings serve nothing until one comes (there: none)
FILE:1:1: key "link.wan7": warning: this host has no link "wan7", so its settings serve nothing until one comes (there: none)`},
	} {
		warns, err := WarnAbsent(file, c.there)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, w := range warns {
			got += "\n" + strings.ReplaceAll(w.Error(), file, "FILE")
		}
		if got != c.want {
			t.Errorf("on a host with %v:%s\nwant:%s", c.there, got, c.want)
		}
	}
}

// A file that is wrong is an error as always.
func TestWarnAbsentOfBadFiles(t *testing.T) {
	for _, file := range []string{"testdata/bad/unknown-key.toml", "testdata/bad/absent.toml"} {
		var e *Error
		if _, err := WarnAbsent(file, nil); !errors.As(err, &e) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// A receiver whose alerts go out over a link that is not there is told nothing.
func TestWarnAbsentOfReceivers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "lifeline.toml")
	text := "[[receiver]]\nname = 'ops'\ntype = 'json'\nurl = 'http://x.example/'\nlink = 'eth1'\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if warns, err := WarnAbsent(file, []string{"lo", "eth1"}); err != nil || len(warns) != 0 {
		t.Errorf("%v, %v", warns, err)
	}
	want := file + `:5:1: key "receiver.link": warning: this host has no link "eth1", so receiver "ops" is told nothing until one comes`
	if warns, err := WarnAbsent(file, []string{"lo", "eth0"}); err != nil || len(warns) != 1 || warns[0].Error() != want {
		t.Errorf("%v, %v", warns, err)
	}
}
