package process

import (
	"os"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	tail := strings.Repeat(" 1", 17)
	st, err := parseStat([]byte("12 (a b) (c)) T 7" + tail + " 4711 5 6"))
	if err != nil || st != (Stat{State: 'T', PPID: 7, Start: 4711}) || !st.Stopped() {
		t.Errorf("%+v, %v", st, err)
	}
	for _, bad := range []string{"", "12 (x", "12 (x) S 1 2", "12 (x) S 1" + tail + " -1", "12 (x) S x" + tail + " 1"} {
		if _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("12 (a b) (c)) T 7" + strings.Repeat(" 1", 17) + " 4711 5 6"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if st, err := parseStat(b); err == nil && st.State == 0 {
			t.Error("no state and no error")
		}
	})
}

func TestSelf(t *testing.T) {
	id, err := Self()
	if err != nil {
		t.Fatal(err)
	}
	if id.Boot == "" || id.Netns == 0 || id.Daemon.PID != os.Getpid() || id.Daemon.Start == 0 {
		t.Errorf("%+v", id)
	}
}
