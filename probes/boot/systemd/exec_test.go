package systemd

import (
	"fmt"
	"testing"

	"lifeline/probes/boot/roottest"
)

func TestCommands(t *testing.T) {
	b, err := Read(roottest.Tree(t, base+`
-- usr/lib/systemd/system/x.service --
[Service]
Environment=A=1 "B=two words"
EnvironmentFile=-/etc/default/x
ExecStart=-/bin/x $OPTS ${A}/${B} $$ %N
ExecStart=@/bin/y y0 arg
ExecStart=:/bin/z $A
-- etc/default/x --
# options
OPTS="-p 2222"
-- etc/systemd/system/x.service.d/home.conf --
[Service]
ProtectHome=true
`))
	if err != nil {
		t.Fatal(err)
	}
	u := b.Job("x.service").Unit
	var got []string
	for _, e := range b.Commands(u, "ExecStart") {
		got = append(got, fmt.Sprintf("%q %t %t", e.Argv, e.Known, e.IgnoreFailure))
	}
	want := []string{`["/bin/x" "-p" "2222" "1/two words" "$" "x"] true true`, `["/bin/y" "arg"] true false`, `["/bin/z" "$A"] true false`}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if s, hidden := u.Hidden("/root/firewall.nft"); !hidden || s.Key != "ProtectHome" {
		t.Errorf("/root is hidden: %t by %+v", hidden, s)
	}
	if _, hidden := u.Hidden("/etc/nftables.conf"); hidden {
		t.Error("/etc is not hidden")
	}
}
