package savedrules

import (
	"runtime"
	"strings"
	"testing"

	"lifeline/probes/iptables/lex"
)

// allocated is how many bytes f allocates, whatever is freed meanwhile.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestReadingTakesNoMultiple: what is read is copied a few times, and no line costs
// anything of its own.
func TestReadingTakesNoMultiple(t *testing.T) {
	const size = 4 << 20
	newlines := []byte("*filter\n:INPUT ACCEPT\nCOMMIT\n" + strings.Repeat("\n", size))
	for name, f := range map[string]func(){
		"refuse":   func() { _ = refuseProgram("f", newlines, false) },
		"strip":    func() { StripHostWide("f", newlines) },
		"includes": func() { lex.NFTIncludes(newlines) },
	} {
		if got := allocated(f); got > 12*size {
			t.Errorf("%s: %d MB for a file of %d MB", name, got>>20, size>>20)
		}
	}
}
