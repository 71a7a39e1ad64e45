package preboot

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"lifeline/probes/iptables"
)

// costly are files that ask the kernel for much more than they are large.
func costly() map[string]map[string]string {
	hash := "*filter\n:INPUT ACCEPT\n"
	for n := range 150 {
		hash += fmt.Sprintf("-A INPUT -p tcp --dport %d -m hashlimit --hashlimit-upto 10/sec --hashlimit-name h%d --hashlimit-htable-size 1000000 -j ACCEPT\n", 1000+n, n)
	}
	return map[string]map[string]string{
		"hashlimit": {"rules.v4": hash + "COMMIT\n"},
		"ipset":     {"rules.v4": openRules4(), "ipsets": "create a hash:ip hashsize 134217728\n"},
		"nft":       {"rules.v4": openRules4(), "nft": "table inet t {\n set s { type ipv4_addr; size 100000000; }\n}\n"},
		"included":  {"rules.v4": openRules4(), "nft": strings.Repeat("include \"/etc/x.nft\"\n", 100), "etc/x.nft": "table inet t {\n set s { type ipv4_addr; size 1000000; }\n}\n"},
	}
}

// TestCostlyFilesAreNotLoaded: a few lines ask the kernel for gigabytes, which no
// namespace holds back, and nothing of that was seen in the answer.
func TestCostlyFilesAreNotLoaded(t *testing.T) {
	for name, line := range map[string]int{"hashlimit": 3, "ipset": 1, "nft": 2, "included": 2} {
		files := costly()[name]
		dir := tree(t, files)
		host := `{"links": [{"name": "eth0", "addresses": ["192.0.2.10/24"]}]`
		for key, f := range map[string]string{"ipsets": `"ipsets"`, "nft": `["nft"]`} {
			if files[key] != "" {
				host += fmt.Sprintf(", %q: %s", key, f)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "host.json"), []byte(host+"}"), 0o600); err != nil {
			t.Fatal(err)
		}
		o := Options{Backend: iptables.Legacy, Iface: "eth0", Dst: addrs("192.0.2.10"), Mgmt: prefixes("10.0.0.0/8"),
			Rules4: []string{filepath.Join(dir, "rules.v4")}, HostFile: filepath.Join(dir, "host.json")}
		s := goodTestbed()
		r, err := fakeChecker(newFakeHost(), s, dir).check(t.Context(), o)
		if err != nil || r.Verdict != Unknown {
			t.Errorf("%s: %s: %s, %v", name, r.Verdict, r.Reason, err)
			continue
		}
		if s.built > 0 {
			t.Errorf("%s: it was loaded", name)
		}
		said := r.Reason
		for _, f := range r.Files {
			said += f.Error
		}
		for _, want := range []string{" of kernel memory: more than 256.0 MB is not loaded", ":" + strconv.Itoa(line) + ": "} {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q lacks %q", name, said, want)
			}
		}
	}
}

func TestShareOfMemory(t *testing.T) {
	for meminfo, want := range map[string]uint64{
		"MemTotal:        1048576 kB\nMemFree: 1 kB\n": 128 << 20,
		"MemTotal: 65536000 kB\n":                      mostKernelMemory,
		"MemTotal: 1000 kB\n":                          leastKernelMemory,
		"MemTotal: x kB\n":                             leastKernelMemory,
		"":                                             leastKernelMemory,
	} {
		if got := shareOf([]byte(meminfo)); got != want {
			t.Errorf("%q: %d, want %d", meminfo, got, want)
		}
	}
	if got := kernelMemory(); got < leastKernelMemory || got > mostKernelMemory {
		t.Errorf("%d", got)
	}
}
