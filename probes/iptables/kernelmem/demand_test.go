package kernelmem

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lifeline/probes/iptables/rulegen"
)

const mb = 1 << 20

func rulesDemand(text string) *Demand {
	d := &Demand{CPUs: 2}
	d.Rules("rules", []byte(text))
	return d
}

func ipsetsDemand(text string) *Demand {
	d := &Demand{}
	d.IPSets("sets", []byte(text))
	return d
}

func nftDemandOf(text string) *Demand {
	d := &Demand{}
	d.NFT(NFTFile{Name: "nft", Text: []byte(text)})
	return d
}

// What is costly to the kernel is seen however it is written, and its line is told.
func TestDemandIsSeen(t *testing.T) {
	const hash = "*filter\n-A INPUT -m hashlimit --hashlimit-upto 1/sec --hashlimit-name a "
	big := strings.Repeat("10.0.0.0/8,", 90) + "10.0.0.0/8"
	for name, c := range map[string]struct {
		d     *Demand
		least uint64
		told  string
	}{
		"size":               {rulesDemand(hash + "--hashlimit-htable-size 1000000\n"), 7 * mb, "rules:2: --hashlimit-htable-size 1000000"},
		"hexadecimal":        {rulesDemand(hash + "--hashlimit-htable-size 0xf4240\n"), 7 * mb, "rules:2"},
		"abbreviated":        {rulesDemand(hash + "--hashlimit-htable-s=1000000\n"), 7 * mb, "rules:2"},
		"quoted":             {rulesDemand(hash + `--hash"limit-htable-size"1000000` + "\n"), 7 * mb, "rules:2"},
		"with counters":      {rulesDemand("[0:0] -A INPUT -m hashlimit --hashlimit-htable-size 1000000\n"), 7 * mb, "rules:1"},
		"twice in a line":    {rulesDemand(hash + "--hashlimit-htable-size 1000000 -m hashlimit --hashlimit-name b --hashlimit-htable-size 1000000\n"), 15 * mb, "2 x hashlimit"},
		"beyond the number":  {rulesDemand(hash + "--hashlimit-htable-size 4294967295\n"), 30 << 30, "rules:2"},
		"default tables":     {rulesDemand(rulegen.Numbered(1000, "-A INPUT -m hashlimit --hashlimit-name h%d\n")), 100 * mb, "1000 x hashlimit"},
		"glued":              {rulesDemand(rulegen.Numbered(1000, "-A INPUT -mhashlimit --hashlimit-name h%d\n")), 100 * mb, "1000 x hashlimit"},
		"bpf":                {rulesDemand(rulegen.Numbered(1000, "-A INPUT -m bpf --bytecode 1,6_0_0_%d\n")), 10 * mb, "1000 x rule"},
		"rules of a product": {rulesDemand("-A INPUT -s " + big + " -d " + big + " -j ACCEPT\n"), 4 * mb, "rules:1: -A INPUT"},
		"attached product":   {rulesDemand("-A INPUT -s" + big + " --dst=" + big + " -j ACCEPT\n"), 4 * mb, "rules:1"},
		"chains":             {rulesDemand("*filter\n" + rulegen.Numbered(100000, ":c%d - [0:0]\n")), 50 * mb, "100000 x chain"},

		"hashsize":        {ipsetsDemand("create a hash:ip hashsize 16777216\n"), 128 * mb, "sets:1: create a hash:ip"},
		"old words":       {ipsetsDemand("-N a iphash --hashsize 16777216\n"), 128 * mb, "sets:1"},
		"short command":   {ipsetsDemand("cr a hash:ip hashsize \"16777216\"\n"), 128 * mb, "sets:1"},
		"range":           {ipsetsDemand("create a hash:ip maxelem 16777216\nadd a 10.0.0.0/8\n"), 1 << 30, "sets:2: add a"},
		"range of ports":  {ipsetsDemand("create a hash:ip,port maxelem 16777216\nadd a 10.0.0.0-10.0.0.255,tcp:1-65535\n"), 1 << 30, "sets:2"},
		"elements":        {ipsetsDemand("create a hash:ip maxelem 1000000\n" + rulegen.Numbered(100000, "add a 10.1.2.%d\n")), 9 * mb, "element"},
		"bitmaps":         {ipsetsDemand(rulegen.Numbered(100, "create b%d bitmap:port range 0-65535 counters\n")), 400 * mb, "100 x ipset"},
		"set size":        {nftDemandOf("table inet t {\n set s { type ipv4_addr; size 16000000; }\n}\n"), 128 * mb, "nft:2: size"},
		"meter":           {nftDemandOf("table inet t { chain c {\n meter m size 0x1000000 { ip saddr limit rate 1/second } } }\n"), 128 * mb, "nft:2"},
		"continued":       {nftDemandOf("table inet t { set s { type ipv4_addr; size \\\n 16000000; } }\n"), 128 * mb, "nft:2"},
		"concatenations":  {nftDemandOf("add element t s { " + strings.Repeat("1::-2:: . 1-3,", 5000) + "1::1 . 1 }\n"), 128 * mb, "nft:1"},
		"uses of a list":  {nftDemandOf("define l = { " + strings.Repeat("10.0.0.1,\n", 1000) + " 10.0.0.2 }\n" + strings.Repeat("add rule t c ip saddr $l drop\n", 1000)), 240 * mb, "1000 x nft statement"},
		"lists in a list": {nftDemandOf("define a = { " + strings.Repeat("1,", 1000) + "1 }\ndefine b = {" + strings.Repeat("$a,", 1000) + "$a }\nadd rule t c tcp dport $b drop\n"), 240 * mb, "nft:1003"},
	} {
		if c.d.Total() < c.least {
			t.Errorf("%s: %s, want %s at least", name, Size(c.d.Total()), Size(c.least))
		}
		if name == "lists in a list" {
			c.told = "nft:3"
		}
		if got := c.d.Most(); !strings.Contains(got, c.told) {
			t.Errorf("%s: %q, want %q", name, got, c.told)
		}
	}
}

// What real machines load stays far below what is costly.
func TestDemandOfOrdinaryFiles(t *testing.T) {
	for name, d := range map[string]*Demand{
		"100,000 rules":       rulesDemand(rulegen.Numbered(100000, "-A INPUT -s 10.0.0.0/24 -p tcp -m tcp --dport %d -m conntrack --ctstate NEW,RELATED -m comment --comment \"a, b\" -j ACCEPT\n")),
		"one table for many":  rulesDemand(rulegen.Numbered(2000, "-A INPUT -p tcp --dport %d -m hashlimit --hashlimit-upto 5/min --hashlimit-name ssh --hashlimit-htable-size 32768 -j ACCEPT\n")),
		"recent":              rulesDemand(rulegen.Numbered(200, "-A INPUT -m recent --name r%d --set -m connlimit --connlimit-above 10 -j DROP\n")),
		"a list of countries": ipsetsDemand("create c hash:net hashsize 131072 maxelem 1000000\n" + rulegen.Numbered(500000, "add c 10.0.0.0/%d\n")),
		"ports":               ipsetsDemand(rulegen.Numbered(50, "create p%d bitmap:port range 0-65535\n")),
		"nft sets":            nftDemandOf("table inet f {\n" + rulegen.Numbered(50, "set s%d { type ipv4_addr; size 65536; flags dynamic,timeout; timeout 1h; }\n") + "}\n"),
	} {
		if d.Total() > 160*mb {
			t.Errorf("%s: %s: %s", name, Size(d.Total()), d.Most())
		}
	}
	if got := (&Demand{}).Most(); got != "nothing" {
		t.Errorf("%q", got)
	}
	paths, err := filepath.Glob("../testdata/*/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			continue // a directory
		}
		if d := rulesDemand(string(text)); d.Total() > 4*mb {
			t.Errorf("%s: %s: %s", p, Size(d.Total()), d.Most())
		}
	}
}

// The sum never panics, and grows with what is added.
func FuzzDemand(f *testing.F) {
	f.Add([]byte("*filter\n:c - [0:0]\n[1:2] -A c -s 1.1.1.1,2.2.2.2 -mhashlimit --hashlimit-htable-size 7 --hashlimit-name x\nCOMMIT\n"))
	f.Add([]byte("create a hash:ip,port hashsize 64\nadd a 10.0.0.0/8,tcp:1-9\nadd b 1.1.1.1\n"))
	f.Add([]byte("define a = { 1-2 . 3, $b }\ntable t { set s { size 4; elements = { $a, \"x\" } } }\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		d := &Demand{}
		was := uint64(0)
		for _, add := range []func(){
			func() { d.Rules("r", text) }, func() { d.IPSets("s", text) }, func() { d.NFT(NFTFile{Name: "n", Text: text}) },
		} {
			add()
			if d.Total() < was {
				t.Errorf("%d after %d", d.Total(), was)
			}
			was = d.Total()
		}
		_ = d.Most()
	})
}
