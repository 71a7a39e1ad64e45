package firewall

import (
	"slices"
	"testing"
)

func TestCompose(t *testing.T) {
	for name, tc := range map[string]struct {
		steps []Step
		want  string
	}{
		"one is left as it is": {[]Step{{Part{"a", []byte("*filter\r\nCOMMIT")}, true}}, "*filter\r\nCOMMIT"},
		"the second flushes": {[]Step{
			{Part{"a", []byte("*filter\n:INPUT DROP [0:0]\n-A INPUT -j ACCEPT\nCOMMIT\n*nat\n-A PREROUTING -j RETURN\nCOMMIT\n")}, true},
			{Part{"b", []byte("*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n")}, true},
		}, "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n*nat\n-A PREROUTING -j RETURN\nCOMMIT\n"},
		"the second appends": {[]Step{
			{Part{"a", []byte("*filter\n:INPUT ACCEPT [0:0]\n:x - [0:0]\n-A INPUT -j x\n-A x -j DROP\nCOMMIT\n")}, true},
			{Part{"b", []byte("# more\n*filter\n:INPUT DROP [0:0]\n:x - [0:0]\n-A x -j ACCEPT\nCOMMIT\n")}, false},
		}, "*filter\n:INPUT DROP [0:0]\n:x - [0:0]\n-A INPUT -j x\n-A x -j DROP\n-F x\n-A x -j ACCEPT\nCOMMIT\n"},
	} {
		if got := string(Compose(tc.steps).Text); got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tc.want)
		}
	}
}

func TestComposeKnowsEachLine(t *testing.T) {
	c := Compose([]Step{
		{Part{"", []byte("*filter\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n")}, true},
		{Part{"b", []byte("*filter\n# x\n-A INPUT -j DROP\nCOMMIT\n")}, false},
	})
	want := []Origin{{}, {}, {"b", 3}, {}}
	if !slices.Equal(c.Origins, want) {
		t.Errorf("%v, want %v", c.Origins, want)
	}
}
