package preboot

import (
	"runtime"
	"strings"
	"testing"

	"lifeline/probes/iptables"
	"lifeline/probes/preboot/savedrules"
)

// allocated is how many bytes f allocates, whatever is freed meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestReadingTakesNoMultiple: a file of nothing but newlines took 50 times its size
// at once and more in all. What is read is copied a few times, and no line costs
// anything of its own.
func TestReadingTakesNoMultiple(t *testing.T) {
	const size = 4 << 20
	newlines := []byte(openRules4() + strings.Repeat("\n", size))
	for name, f := range map[string]func(){
		"line":   func() { lineOf(newlines, size) },
		"commit": func() { commitLine(newlines, "filter") },
		"insert": func() { withLine([]iptables.File{{Name: "f", Text: newlines}}, Fix{File: "f", Line: size, Rule: "x"}) },
		"table":  func() { hasTable(newlines) },
		"demand": func() {
			d := demand{most: mostKernelMemory}
			for _, role := range []string{savedrules.RoleRules4, savedrules.RoleIPSets, savedrules.RoleNFT} {
				if err := d.add(&bootFile{File: &savedrules.File{Role: role, Path: "f", Text: newlines}}); err != nil {
					t.Error(err)
				}
			}
		},
		"analyse": func() {
			in := iptables.File{Name: "f", Text: newlines}
			none := iptables.File{Name: "g", Text: newlines[len(openRules4()):]}
			iptables.Analyse(iptables.Question{Family: iptables.IPv4, Backend: iptables.NFT, Iface: "eth0", Dst: addrs("192.0.2.10"),
				Ports: []uint16{22}, Mgmt: prefixes("10.0.0.0/8")}, iptables.Inputs{Rules: []iptables.File{in}, IPSets: &none, NFT: []iptables.File{none}, ARP: &none})
		},
	} {
		if got := allocated(f); got > 12*size {
			t.Errorf("%s: %d MB for a file of %d MB", name, got>>20, size>>20)
		}
	}
}
