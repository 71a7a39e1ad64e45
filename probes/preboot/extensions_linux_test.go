package preboot

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/sandbox"
	"lifeline/probes/preboot/savedrules"
)

// TestExtensionsLoad gives a rule of every extension to the real tools: what
// they take, the parser takes, unless the kernel at hand lacks the extension.
func TestExtensionsLoad(t *testing.T) {
	needTool(t, "iptables-legacy-restore", "iptables-nft-restore", "ipset")
	text, err := os.ReadFile("../iptables/testdata/extensions.txt")
	if err != nil {
		t.Fatal(err)
	}
	sets := savedrules.File{Role: savedrules.RoleIPSets, Path: "sets", Text: []byte("create admins hash:net timeout 0\n")}
	for _, b := range []iptables.Backend{iptables.NFT, iptables.Legacy} {
		sets, _ := loadFor(&sets, b)
		loads, rules := []sandbox.Load{sets}, []string{""}
		for line := range strings.Lines(string(text)) {
			w := strings.Fields(line)
			_, rule, ok := strings.Cut(line, "-A ")
			if !ok || strings.HasPrefix(line, "#") {
				continue
			}
			for _, family := range w[1] {
				role := savedrules.RoleRules4
				if family == '6' {
					role = savedrules.RoleRules6
				}
				f := savedrules.File{Role: role, Path: "f", Text: fmt.Appendf(nil, "*%s\n-A %sCOMMIT\n", w[2], rule)}
				l, _ := loadFor(&f, b)
				loads, rules = append(loads, l), append(rules, fmt.Sprintf("%s IPv%c %s", b, family, line))
			}
		}
		lacking := 0
		for i, said := range loadAll(t, sandbox.AsSelf, loads...) {
			switch sandbox.StatusOf(said, true, true).Told(iptables.LoadOK).Load {
			case iptables.LoadFails:
				t.Errorf("%s: %+v", rules[i], said)
			case iptables.LoadUnknown:
				lacking++
				t.Logf("not here: %s: %s", rules[i], said.Stderr)
			}
		}
		if lacking > len(loads)/2 {
			t.Errorf("%s: this kernel lacks %d of %d", b, lacking, len(loads))
		}
	}
}
