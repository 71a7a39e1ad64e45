package preboot

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/sync/errgroup"

	"lifeline/probes/iptables"
)

// caseFile is one archive of testdata/cases: a question, a description of the
// machine, a rules file, and for each back end the load, the analysis with its
// scope, the rehearsal and the overall verdict, "-" for nothing and "*" for
// whatever comes.
type caseFile struct {
	name    string
	options Options
	want    map[iptables.Backend][]string
}

func readCase(t *testing.T, path string) caseFile {
	t.Helper()
	ar, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	c := caseFile{name: strings.TrimSuffix(filepath.Base(path), ".txt"), want: map[iptables.Backend][]string{}}
	dir := t.TempDir()
	var q struct {
		Family iptables.Family
		Dst    []netip.Addr
		Mgmt   []netip.Prefix
		Ports  []uint16
	}
	for _, f := range ar.Files {
		switch f.Name {
		case "question.json":
			if err := json.Unmarshal(f.Data, &q); err != nil {
				t.Fatal(err)
			}
		case "want":
			for line := range strings.Lines(string(f.Data)) {
				w := strings.Fields(line)
				c.want[iptables.Backend(w[0])] = w[1:]
			}
		default:
			if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.options = Options{Families: []iptables.Family{q.Family}, Iface: "eth0", Dst: q.Dst, Mgmt: q.Mgmt, Ports: q.Ports,
		HostFile: filepath.Join(dir, "host.json"), Rules4: []string{filepath.Join(dir, "rules")}}
	if q.Family == iptables.IPv6 {
		c.options.Rules4, c.options.Rules6 = nil, c.options.Rules4
	}
	return c
}

// TestCases asks both engines what the kernel does with the kinds of files
// that matter. Every verdict in testdata was seen in the kernel.
func TestCases(t *testing.T) {
	needTool(t, "iptables-nft-restore", "iptables-legacy-restore", "nft", "ipset", "arptables-nft-restore")
	paths, err := filepath.Glob("testdata/cases/*.txt")
	if err != nil || len(paths) < 40 {
		t.Fatalf("%d cases, %v", len(paths), err)
	}
	type job struct {
		name string
		o    Options
		want []string
		r    Report
		err  error
	}
	var jobs []*job
	for _, path := range paths {
		c := readCase(t, path)
		for b, want := range c.want {
			// Long enough for a busy machine; what does not come costs it.
			c.options.Backend, c.options.Timeout = b, time.Second
			jobs = append(jobs, &job{name: c.name + "/" + string(b), o: c.options, want: want})
		}
	}
	// Most of the time goes into waiting for answers that do not come.
	var group errgroup.Group
	group.SetLimit(12)
	for _, j := range jobs {
		group.Go(func() error {
			j.r, j.err = Check(t.Context(), j.o)
			return nil
		})
	}
	_ = group.Wait()
	for _, j := range jobs {
		t.Run(j.name, func(t *testing.T) {
			if j.err != nil {
				t.Fatal(j.err)
			}
			got := outcomeWords(t, j.r)
			for n, w := range j.want {
				if w != "*" && w != got[n] {
					t.Errorf("got %s, want %s", strings.Join(got, " "), strings.Join(j.want, " "))
					break
				}
			}
		})
	}
}

// outcomeWords renders a report as the archives write it.
func outcomeWords(t *testing.T, r Report) []string {
	t.Helper()
	got := []string{"-", "-", "-", "-", string(r.Verdict)}
	for _, c := range r.Checks {
		switch {
		case c.Name == Analysis:
			got[0], got[1] = string(c.Load), string(c.Verdict)
			if c.Scope != "" {
				got[2] = string(c.Scope)
			}
		case strings.Contains(c.Summary, "start in namespaces"):
			t.Skipf("no rehearsal here: %s", c.Summary)
		case c.Verdict != "":
			got[3] = string(c.Verdict)
		}
	}
	var b strings.Builder
	_ = r.Text(&b, false)
	t.Log(b.String())
	return got
}

// thousand is a question about a file of a thousand rules that lets
// management in.
func thousand(t testing.TB) Options {
	t.Helper()
	needTool(t, "iptables-nft-restore")
	rules := filepath.Join(t.TempDir(), "rules")
	text := manyRules(1000, "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 22 -j ACCEPT")
	if err := os.WriteFile(rules, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return Options{Backend: iptables.NFT, Iface: "eth0", Dst: addrs("192.0.2.10"), Mgmt: prefixes("10.0.0.0/8"), Rules4: []string{rules},
		Links: []iptables.Link{{Name: "eth0", Addresses: prefixes("192.0.2.10/24")}}}
}

func TestThousandRules(t *testing.T) {
	o := thousand(t)
	o.Timeout = 20 * time.Second
	r, err := Check(t.Context(), o)
	if err != nil || r.Verdict != Safe || r.Checks[1].Status != OK {
		t.Fatalf("%s: %s, %v", r.Verdict, r.Reason, err)
	}
}
