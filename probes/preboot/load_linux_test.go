package preboot

import (
	"os"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
	"lifeline/probes/preboot/savedrules"
)

func TestLoadFor(t *testing.T) {
	f := &savedrules.File{Role: savedrules.RoleRules4, Path: "f", Text: []byte("*filter\n-A INPUT -j LED --led-trigger-id x\nCOMMIT\n")}
	l, notes := loadFor(f, iptables.Legacy)
	if strings.Contains(string(l.Input), "LED") || len(notes) != 1 || !slices.Equal(l.Whole, f.Text) || l.Commands[0].Argv[0] != "iptables-legacy-restore" || l.Commands[1].Version != "(legacy)" {
		t.Errorf("%+v, %q", l, notes)
	}
	command := func(role string, b iptables.Backend) []sandbox.Command {
		l, _ := loadFor(&savedrules.File{Role: role}, b)
		return l.Commands
	}
	for role, want := range map[string]string{savedrules.RoleOther4: "iptables-legacy-restore", savedrules.RoleOther6: "ip6tables-legacy-restore", savedrules.RoleRules6: "ip6tables-nft-restore", savedrules.RoleARP: "arptables-nft-restore", savedrules.RoleNFT: "nft", savedrules.RoleIPSets: "ipset"} {
		for _, b := range []iptables.Backend{iptables.NFT} {
			if got := command(role, b)[0].Argv[0]; got != want {
				t.Errorf("%s: %s, want %s", role, got, want)
			}
		}
	}
	// It runs the file's lines through a shell.
	for _, tool := range command(savedrules.RoleARP, iptables.Legacy) {
		if tool.Argv[0] == "arptables-legacy-restore" {
			t.Error("arptables-legacy-restore is used")
		}
	}
}

func TestTrusted(t *testing.T) {
	own, foreign := &bootFile{File: &savedrules.File{Trusted: true}}, &bootFile{File: &savedrules.File{}}
	for _, c := range []struct {
		g    gathered
		want bool
	}{
		{gathered{saved: true, files: []*bootFile{own, own}}, true},
		{gathered{saved: true, files: []*bootFile{own, foreign}}, false},
		{gathered{saved: false, files: []*bootFile{own}}, false},
	} {
		if got := c.g.trusted(); got != c.want {
			t.Errorf("%+v: %v", c.g, got)
		}
	}
	if foreign, own := len(testbeds(false)), len(testbeds(true)); os.Geteuid() == 0 && own != foreign+1 {
		t.Errorf("a foreign file has %d ways, our own %d", foreign, own)
	}
}
