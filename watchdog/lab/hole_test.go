package lab

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// blocks is how much memory or disk a file takes, bytes.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}

func TestHollow(t *testing.T) {
	const mib = 1 << 20
	path := filepath.Join(t.TempDir(), "f1")
	if to, err := hollow(path, 0); to != 0 || err != nil {
		t.Errorf("not there yet: %d, %v", to, err)
	}
	if err := os.WriteFile(path, make([]byte, 5*mib+100), 0o600); err != nil {
		t.Fatal(err)
	}
	to, err := hollow(path, 0)
	if err != nil || to != 4*mib {
		t.Fatalf("hole to %d, %v; want all but the last mebibyte", to, err)
	}
	if got := blocks(t, path); got > 2*mib {
		t.Errorf("%d bytes are taken", got)
	}
	if again, err := hollow(path, to); again != to || err != nil {
		t.Errorf("with nothing new: %d, %v", again, err)
	}
	if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, make([]byte, 5*mib+100)) {
		t.Errorf("%d bytes, %v: the file is not what it was", len(b), err)
	}
}

func TestWriteHole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f1")
	if err := writeHole(path, 1<<30); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() != 1<<30 || blocks(t, path) != 0 {
		t.Errorf("%v, %v, %d bytes taken", info, err, blocks(t, path))
	}
}
