package rsync

import (
	"os"
	"path/filepath"
	"testing"

	"lifeline/watchdog"
)

// The size of what is read is asked for once, of what is written each time.
func TestSizeOfAFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, make([]byte, 10), 0o644); err != nil {
		t.Fatal(err)
	}
	proc := procFS{root: "/proc"}
	for flags, want := range map[int]int{os.O_RDONLY: 1, os.O_RDWR: 3} {
		file, err := os.OpenFile(name, flags, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		asked := 0
		size := func(pid, num int) int64 {
			asked++
			return proc.fileSize(pid, num)
		}
		at := opened{
			File: watchdog.File{Name: "another", Size: 1000},
			pid:  os.Getpid(), num: int(file.Fd()), writes: flags != os.O_RDONLY,
		}
		for range 3 {
			at = proc.again(at, size)
		}
		if at.Name != name || at.Size != 10 || asked != want {
			t.Errorf("flags %#x: asked %d times, want %d, for %+v", flags, asked, want, at)
		}
	}
}
