package savedrules

import (
	"os"
	"path/filepath"
	"testing"
)

func TestReadRuleFile(t *testing.T) {
	dir := tree(t, map[string]string{
		"rules": "*filter\n-A INPUT -j LED --led-trigger-id x\nCOMMIT\n", "evil": "*filter\n-A INPUT -M /x\nCOMMIT\n",
		"nft": "include \"/etc/a.nft\"\n", "etc/a.nft": "# a", "bad.nft": "include \"/etc/shadow\"\n", "sets": "create -M x\n",
	})
	read := func(role, name string) *File {
		t.Helper()
		f, err := Read(role, filepath.Join(dir, name), Folder(dir))
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := read(RoleRules4, "rules")
	if f.Refused != nil {
		t.Errorf("%+v", f)
	}
	if f.Trusted != (os.Geteuid() == 0) {
		t.Errorf("trusted: %v", f.Trusted)
	}
	if err := os.Chmod(filepath.Join(dir, "rules"), 0o666); err != nil {
		t.Fatal(err)
	}
	if read(RoleRules4, "rules").Trusted {
		t.Error("a file that everybody may write is trusted")
	}
	for _, role := range []string{RoleRules4, RoleRules6, RoleOther4, RoleOther6, RoleARP} {
		if read(role, "evil").Refused == nil {
			t.Errorf("%s may name a program", role)
		}
	}
	if f := read(RoleNFT, "nft"); f.Refused != nil || len(f.Includes) != 1 || f.Includes[0].Path != "/etc/a.nft" {
		t.Errorf("%+v", f)
	}
	if f := read(RoleNFT, "bad.nft"); f.Refused == nil {
		t.Error("an include leads outside")
	}
	if f := read(RoleIPSets, "sets"); f.Refused != nil {
		t.Errorf("%+v", f)
	}
}

func TestUsualHere(t *testing.T) {
	found, notes := Usual(tree(t, map[string]string{"etc/iptables/rules.v4": "", "etc/sysconfig/iptables": "", "etc/sysconfig/ip6tables": "", "etc/nftables.conf": ""}))
	if found[RoleRules4] != "/etc/iptables/rules.v4" || found[RoleRules6] != "/etc/sysconfig/ip6tables" || found[RoleNFT] != "" || len(notes) != 1 {
		t.Errorf("%v, %q", found, notes)
	}
	if found, notes := Usual(t.TempDir()); len(found) != 0 || len(notes) != 0 {
		t.Errorf("%v, %q", found, notes)
	}
}
