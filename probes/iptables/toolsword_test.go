package iptables

import "testing"

// TestTheToolsWord compares what Analyse makes of a file by itself and with
// the restore tool's word.
func TestTheToolsWord(t *testing.T) {
	q := benchQuestion(1)
	open := []byte("*filter\n:INPUT ACCEPT\nCOMMIT\n")
	shut := []byte("*filter\n:INPUT DROP\nCOMMIT\n*nat\n:PREROUTING ACCEPT\nCOMMIT\n")
	odd := []byte("*filter\n-A INPUT --frobnicate\nCOMMIT\n")
	for _, c := range []struct {
		name    string
		text    []byte
		told    Told
		load    Load
		verdict Verdict
	}{
		{"agreed", open, Told{Load: LoadOK}, LoadOK, Allowed},
		{"not asked", open, Told{}, LoadOK, Allowed},
		{"tool unknown", open, Told{Load: LoadUnknown}, LoadUnknown, Conditional},
		{"tool refuses all", shut, Told{Load: LoadFails, Error: "line 3 failed", Line: 3}, LoadFails, Conditional},
		{"tool refuses the second table", shut, Told{Load: LoadFails, Error: "line 6 failed", Line: 6}, LoadFails, Blocked},
		{"tool refuses somewhere", shut, Told{Load: LoadFails, Error: "killed"}, LoadFails, Conditional},
		{"tool accepts what we do not", odd, Told{Load: LoadOK}, LoadOK, Conditional},
		{"nobody accepts", odd, Told{Load: LoadFails, Line: 2}, LoadFails, Conditional},
		{"tool ends early", []byte("*filter\n:INPUT DROP\n-V\nCOMMIT\n"), Told{Load: LoadOK}, LoadFails, Conditional},
	} {
		r := Analyse(q, Inputs{Rules: []File{{Name: "f", Text: c.text, Told: c.told}}})
		if r.Load != c.load || r.Verdict != c.verdict {
			t.Errorf("%s: load %s, %s, %v", c.name, r.Load, r.Verdict, r.Assumptions)
		}
	}
}
