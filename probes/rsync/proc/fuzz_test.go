package proc

import (
	"strings"
	"testing"
)

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (a) b) S 7 1 1 34816 1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 4711 0 0\n"))
	f.Add([]byte("1 ()"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseStat(b); err == nil && s.State == 0 {
			t.Errorf("%q: no state and no error", b)
		}
	})
}

func FuzzParseProc(f *testing.F) {
	f.Add("socket:[1]", []byte("pos:\t1\nflags:\t02\n"))
	f.Add("/a (deleted)", []byte("0.00 0.01 0.05 1/100 4711\n"))
	f.Add("pipe:[]", []byte("1 2 3\n"))
	f.Fuzz(func(t *testing.T, target string, b []byte) {
		if got := parseFD(1, target); got.Kind == FileFD && !strings.HasPrefix(got.Path, "/") {
			t.Errorf("%q: %+v", target, got)
		}
		if strings.Contains(BaseName(target), "/") {
			t.Errorf("base name of %q: %q", target, BaseName(target))
		}
		if info, err := parseFDInfo(b); err != nil && info != (FDInfo{}) {
			t.Errorf("%q: %+v with an error", b, info)
		}
		if pid, err := ParseLastPID(b); pid < 0 && err == nil {
			t.Errorf("%q: pid %d", b, pid)
		}
		for _, pid := range parsePIDs(b) {
			if pid <= 0 {
				t.Errorf("%q: pid %d", b, pid)
			}
		}
	})
}
