package preboot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
	"lifeline/probes/preboot/savedrules"
)

// TestProgramsOfTheFileDoNotRun: such a file is refused; and were it not, the
// tool could not find the program.
func TestProgramsOfTheFileDoNotRun(t *testing.T) {
	needTool(t, "iptables-legacy-restore", "iptables-nft-restore")
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	mark, program := filepath.Join(dir, "it-ran"), filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\n: > "+mark+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, before := range []string{"", `-m comment --comment "a closing quote ends the argument"`} {
		tryProgram(t, dir, before+"-M "+program)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("the program ran")
	}
}

// tryProgram asks about a rule with an option that names a program, and loads it all the
// same.
func tryProgram(t *testing.T, dir, option string) {
	t.Helper()
	text := "*no-such-table\nCOMMIT\n*filter\n-A INPUT " + option + " -m no-such-match -j ACCEPT\nCOMMIT\n"
	rules := filepath.Join(dir, "rules")
	if err := os.WriteFile(rules, []byte(strings.TrimPrefix(text, "*no-such-table\nCOMMIT\n")), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, b := range []iptables.Backend{iptables.Legacy, iptables.NFT} {
		r, err := Check(t.Context(), Options{Backend: b, Iface: "eth0", Dst: addrs("192.0.2.10"), Mgmt: prefixes("10.0.0.0/8"), Rules4: []string{rules},
			Links: []iptables.Link{{Name: "eth0", Addresses: prefixes("192.0.2.10/24")}}})
		if err != nil || r.Verdict == Safe || r.Files[0].Tool != "" {
			t.Errorf("%s: %s, %+v, %v", b, r.Verdict, r.Files, err)
		}
		for _, how := range confinements() {
			loadAll(t, how, restore(b, iptables.IPv4, text), restore(b, iptables.IPv4, strings.TrimPrefix(text, "*no-such-table\nCOMMIT\n")))
		}
	}
}

// TestHostWideTargets: the timer does not come into being on the host, and
// what the tool thinks of the target still counts.
func TestHostWideTargets(t *testing.T) {
	needTool(t, "iptables-legacy-restore", "iptables-nft-restore")
	for _, b := range []iptables.Backend{iptables.NFT, iptables.Legacy} {
		var loads []sandbox.Load
		for _, rule := range []string{"-j IDLETIMER --timeout 5 --label lifeline-test", "-j IDLETIMER --label lifeline-test", "-j LED --led-trigger-id lifeline-test"} {
			f := savedrules.File{Role: savedrules.RoleRules4, Path: "f", Text: []byte("*filter\n-A INPUT " + rule + "\nCOMMIT\n")}
			l, _ := loadFor(&f, b)
			loads = append(loads, l)
		}
		said := loadAll(t, sandbox.AsSelf, loads...)
		if said[0].Code != 0 && !sandbox.LacksModule(said[0]) {
			t.Errorf("%s: a good timer: %+v", b, said[0])
		}
		if said[1].Code == 0 || sandbox.StatusOf(said[1], true, true).Load != iptables.LoadFails {
			t.Errorf("%s: a timer without a timeout loads: %+v", b, said[1])
		}
		if w := sandbox.StatusOf(said[2], true, true); sandbox.LacksModule(said[2]) && w.Told(iptables.LoadOK).Load != iptables.LoadUnknown {
			t.Errorf("%s: a target that this kernel does not have: %+v", b, w)
		}
		if _, err := os.Stat("/sys/class/xt_idletimer/timers/lifeline-test"); err == nil {
			t.Errorf("%s: a timer was made on the host", b)
		}
	}
}
