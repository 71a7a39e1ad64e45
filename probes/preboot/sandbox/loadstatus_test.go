package sandbox

import (
	"testing"

	"lifeline/probes/iptables"
)

func TestUnderstand(t *testing.T) {
	const ok, fails, unknown = iptables.LoadOK, iptables.LoadFails, iptables.LoadUnknown
	for _, c := range []struct {
		name      string
		said      LoadResult
		elsewhere bool // the question is about another machine
		noIDs     bool
		// parserOK and parserFails are the load with each judgement of the parser.
		parserOK, parserFails iptables.Load
		line                  int
		message               string
	}{
		{"loaded", LoadResult{Tool: "t", Stderr: "Warning: chatter\n"}, false, false, ok, ok, 0, ""},
		{"not installed", LoadResult{Code: -1, Err: "not installed: t"}, false, false, unknown, unknown, 0, "not installed: t"},
		{"killed", LoadResult{Tool: "t", Code: -1, Err: "stopped after 20s"}, false, false, unknown, unknown, 0, "stopped after 20s"},
		{"crashed", LoadResult{Tool: "t", Code: -1, Err: "signal: segmentation fault"}, false, false, unknown, fails, 0, "signal: segmentation fault"},
		{"option", LoadResult{Tool: "t", Code: 2, Stderr: "iptables-nft-restore v1.8.9 (nf_tables): unknown option \"--bogus\"\nError occurred at line: 4\nTry `iptables-nft-restore -h' or 'iptables-nft-restore --help' for more information.\n"},
			false, false, fails, fails, 4, "unknown option \"--bogus\"; Error occurred at line: 4"},
		{"no commit", LoadResult{Tool: "t", Code: 1, Stderr: "iptables-restore: COMMIT expected at line 3\n"}, false, true, fails, fails, 3, "iptables-restore: COMMIT expected at line 3"},
		{"kernel refuses, nft", LoadResult{Tool: "t", Code: 4, Stderr: "iptables-nft-restore v1.8.9 (nf_tables): \nline 7: RULE_APPEND failed (Invalid argument): rule in chain PREROUTING\n"},
			false, false, fails, fails, 7, "line 7: RULE_APPEND failed (Invalid argument): rule in chain PREROUTING"},
		{"kernel refuses an id", LoadResult{Tool: "t", Code: 4, Stderr: "line 7: RULE_APPEND failed (Invalid argument): rule in chain OUTPUT\n"}, false, true, unknown, fails, 7, "line 7: RULE_APPEND failed (Invalid argument): rule in chain OUTPUT"},
		{"kernel lacks something", LoadResult{Tool: "t", Code: 4, Stderr: "line 2: RULE_APPEND failed (No such file or directory): rule in chain PREROUTING\n"}, false, false, unknown, fails, 2, "line 2: RULE_APPEND failed (No such file or directory): rule in chain PREROUTING"},
		{"kernel refuses, legacy", LoadResult{Tool: "t", Code: 1, Stderr: "iptables-restore: line 3 failed\n"}, false, false, unknown, fails, 3, "iptables-restore: line 3 failed"},
		{"module", LoadResult{Tool: "t", Code: 1, Stderr: "Warning: Extension LED revision 0 not supported, missing kernel module?\niptables-restore: line 3 failed\n"}, false, false, unknown, fails, 3,
			"Warning: Extension LED revision 0 not supported, missing kernel module?; iptables-restore: line 3 failed"},
		{"rights", LoadResult{Tool: "t", Code: 4, Stderr: "iptables-nft-restore v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be root)\n"}, false, false, unknown, fails, 0,
			"Could not fetch rule set generation id: Permission denied (you must be root)"},
		{"add-on, this machine", LoadResult{Tool: "t", Code: 2, Stderr: "iptables-restore v1.8.9 (legacy): Couldn't load match `geoip':No such file or directory\n\nError occurred at line: 4\n"}, false, false, fails, fails, 4,
			"Couldn't load match `geoip':No such file or directory; Error occurred at line: 4"},
		{"add-on, another machine", LoadResult{Tool: "t", Code: 2, Stderr: "Couldn't load match `geoip':No such file or directory\nError occurred at line: 4\n"}, true, false, unknown, fails, 4,
			"Couldn't load match `geoip':No such file or directory; Error occurred at line: 4"},
		{"no such chain, another machine", LoadResult{Tool: "t", Code: 2, Stderr: "Couldn't load target `NOSUCH':No such file or directory\nError occurred at line: 4\n"}, true, false, fails, fails, 4,
			"Couldn't load target `NOSUCH':No such file or directory; Error occurred at line: 4"},
		{"nft", LoadResult{Tool: "nft", Code: 1, Stderr: "/dev/stdin:3:5-10: Error: syntax error\n"}, false, false, fails, fails, 3, "/dev/stdin:3:5-10: Error: syntax error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := StatusOf(c.said, !c.noIDs, !c.elsewhere)
			if got := w.Told(iptables.LoadOK).Load; got != c.parserOK {
				t.Errorf("where the parser finds no fault: %s, want %s", got, c.parserOK)
			}
			if got := w.Told(iptables.LoadFails).Load; got != c.parserFails {
				t.Errorf("where the parser finds fault: %s, want %s", got, c.parserFails)
			}
			if w.Line != c.line || w.Message != c.message {
				t.Errorf("line %d, %q", w.Line, w.Message)
			}
		})
	}
}

func FuzzUnderstand(f *testing.F) {
	f.Add("line 99999999999999999999 failed", 1)
	f.Fuzz(func(t *testing.T, stderr string, code int) {
		w := StatusOf(LoadResult{Tool: "t", Code: code, Stderr: stderr}, true, true)
		if w.Load == iptables.LoadOK && code != 0 {
			t.Error("a failure counts as loaded")
		}
	})
}
