package preboot

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/iptables"
)

func TestReadRuleFile(t *testing.T) {
	dir := tree(t, map[string]string{
		"rules": "*filter\n-A INPUT -j LED --led-trigger-id x\nCOMMIT\n", "evil": "*filter\n-A INPUT -M /x\nCOMMIT\n",
		"nft": "include \"/etc/a.nft\"\n", "etc/a.nft": "# a", "bad.nft": "include \"/etc/shadow\"\n", "sets": "create -M x\n",
	})
	read := func(role, name string) *ruleFile {
		t.Helper()
		f, err := readRuleFile(role, filepath.Join(dir, name), folder(dir))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := read(roleRules4, "rules")
	l := f.load(iptables.Legacy)
	if f.refused != nil || strings.Contains(string(l.Input), "LED") || len(f.notes) != 1 || !slices.Equal(l.Whole, f.text) || l.Tools[0].Argv[0] != "iptables-legacy-restore" || l.Tools[1].Version != "(legacy)" {
		t.Errorf("%+v, %+v", f, l)
	}
	if f.trusted != (os.Geteuid() == 0) {
		t.Errorf("trusted: %v", f.trusted)
	}
	if err := os.Chmod(filepath.Join(dir, "rules"), 0o666); err != nil {
		t.Fatal(err)
	}
	if read(roleRules4, "rules").trusted {
		t.Error("a file that everybody may write is trusted")
	}
	for _, role := range []string{roleRules4, roleRules6, roleOther4, roleOther6, roleARP} {
		if read(role, "evil").refused == nil {
			t.Errorf("%s may name a program", role)
		}
	}
	if f := read(roleNFT, "nft"); f.refused != nil || len(f.includes) != 1 || f.includes[0].Path != "/etc/a.nft" {
		t.Errorf("%+v", f)
	}
	if f := read(roleNFT, "bad.nft"); f.refused == nil {
		t.Error("an include leads outside")
	}
	if f := read(roleIPSets, "sets"); f.refused != nil || f.load(iptables.NFT).Tools[0].Argv[0] != "ipset" {
		t.Errorf("%+v", f)
	}
	for role, want := range map[string]string{roleOther4: "iptables-legacy-restore", roleOther6: "ip6tables-legacy-restore", roleRules6: "ip6tables-nft-restore", roleARP: "arptables-nft-restore", roleNFT: "nft"} {
		for _, b := range []iptables.Backend{iptables.NFT} {
			if got := (&ruleFile{role: role}).load(b).Tools[0].Argv[0]; got != want {
				t.Errorf("%s: %s, want %s", role, got, want)
			}
		}
	}
	// It runs the file's lines through a shell.
	for _, tool := range (&ruleFile{role: roleARP}).load(iptables.Legacy).Tools {
		if tool.Argv[0] == "arptables-legacy-restore" {
			t.Error("arptables-legacy-restore is used")
		}
	}
}

func TestUsualHere(t *testing.T) {
	found, notes := usualHere(tree(t, map[string]string{"etc/iptables/rules.v4": "", "etc/sysconfig/iptables": "", "etc/sysconfig/ip6tables": "", "etc/nftables.conf": ""}))
	if found[roleRules4] != "/etc/iptables/rules.v4" || found[roleRules6] != "/etc/sysconfig/ip6tables" || found[roleNFT] != "" || len(notes) != 1 {
		t.Errorf("%v, %q", found, notes)
	}
	if found, notes := usualHere(t.TempDir()); len(found) != 0 || len(notes) != 0 {
		t.Errorf("%v, %q", found, notes)
	}
}

func TestTrusted(t *testing.T) {
	own, foreign := &ruleFile{trusted: true}, &ruleFile{}
	for _, c := range []struct {
		g    gathered
		want bool
	}{
		{gathered{saved: true, files: []*ruleFile{own, own}}, true},
		{gathered{saved: true, files: []*ruleFile{own, foreign}}, false},
		{gathered{saved: false, files: []*ruleFile{own}}, false},
	} {
		if got := c.g.trusted(); got != c.want {
			t.Errorf("%+v: %v", c.g, got)
		}
	}
	if foreign, own := len(waysToStage(false)), len(waysToStage(true)); os.Geteuid() == 0 && own != foreign+1 {
		t.Errorf("a foreign file has %d ways, our own %d", foreign, own)
	}
}
