package iptables

import (
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"

	"lifeline/probes/iptables/rulegen"
)

// TestFilesAreReadOnce: what was asked before changes no answer, whatever the files are.
func TestFilesAreReadOnce(t *testing.T) {
	native := []byte("table inet x {\n chain a { jump b }\n chain b { tcp dport 2022 drop }\n chain in { type filter hook input priority 10; jump a }\n}\n")
	sets := []byte("create admins hash:net\nadd admins 10.0.0.0/24\ncreate all list:set\nadd all admins\n")
	for i := range 200 {
		f := []Family{IPv4, IPv6}[i%2]
		p, q := rulegen.Example(int(f)), exampleQuestion(f)
		p.Uncertain, p.Broken = i%3 == 0, i%5 == 0
		q.Backend = []Backend{NFT, Legacy}[i/2%2]
		r := rand.New(rand.NewPCG(21, uint64(i)))
		in := Inputs{Rules: []File{{Name: "rules", Text: []byte(p.File(r) + "*filter\n-A INPUT -m set --match-set all src -j DROP\n-Z\nCOMMIT\n")}},
			Other: []File{{Name: "other", Text: []byte(p.File(r))}}, IPSets: &File{Name: "sets", Text: sets}, NFT: []File{{Name: "native", Text: native}},
			ARP: &File{Name: "arp", Text: []byte("-A INPUT -i eth1 -j DROP\n")}}
		read := Read(f, q.Backend, in)
		for _, q := range slices.Backward(questionsLike(q)) {
			if got, want := read.Answer(q), Analyse(q, in); !reflect.DeepEqual(got, want) {
				t.Fatalf("file %d, %+v:\n%+v\nread for this question alone:\n%+v", i, q, got, want)
			}
		}
	}
}

// questionsLike are a question and some about other sources, ports and links.
func questionsLike(q Question) []Question {
	one, other, all := q, q, q
	one.Ports = one.Ports[:1]
	other.Iface = "eth1"
	all.Mgmt = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	return []Question{q, one, other, all, q}
}
