package daemon

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"lifeline/probes/preboot/savedrules"
)

func TestRebootSchedule(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1000, 0).Add(time.Duration(s) * time.Second) }
	s := rebootSchedule{every: 5 * time.Minute, next: at(5)}
	due := func(what string, want int) {
		t.Helper()
		if got := s.due(); !got.Equal(at(want)) {
			t.Errorf("%s: due at %v, want %v", what, got.Sub(at(0)), want)
		}
	}
	due("at start", 5)
	s.asked(at(6))
	due("after an answer", 306)
	s.changed(at(100))
	due("after a change", 102)
	s.changed(at(101))
	due("after another", 103)
	for n := 102; n < 200; n++ {
		s.changed(at(n))
	}
	due("with a change every second", 115)
	s.asked(at(115))
	due("after that answer", 415)
	s.changed(at(414))
	due("with a change just before the interval ends", 415)
}

// TestSavedFilesChange: every way in which a file can come to hold something
// else is noticed, also where it did not exist when the watch began.
func TestSavedFilesChange(t *testing.T) {
	dir := t.TempDir()
	path := func(p string) string { return filepath.Join(dir, p) }
	write := func(p string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path(p)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path(p), []byte("*filter\nCOMMIT\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(path(from), path(to)); err != nil {
			t.Fatal(err)
		}
	}
	write("link/target/rules")
	if err := os.Symlink(path("link/target/rules"), path("link/rules")); err != nil {
		t.Fatal(err)
	}
	files := newSavedFiles(slog.New(slog.DiscardHandler))
	defer files.close()
	files.watch = savedrules.WatchFor(path("late/rules"), path("link/rules"))
	files.follow()
	for _, c := range []struct {
		what   string
		change func()
	}{
		{"its directory is made, and the file", func() { write("late/rules") }},
		{"it is written to", func() { write("late/rules") }},
		{"another takes its place", func() { write("late/.new"); move("late/.new", "late/rules") }},
		{"its directory is replaced", func() { write("other/rules"); move("late", "old"); move("other", "late") }},
		{"it is written to in that", func() { write("late/rules") }},
		{"it is removed", func() { _ = os.Remove(path("late/rules")) }},
		{"the file that it links to is written to", func() { write("link/target/rules") }},
	} {
		files.letGo() // as before every check
		files.follow()
		c.change()
		seen := false
		for end := time.After(20 * time.Second); !seen; {
			select {
			case e := <-files.events():
				seen = files.watch.Concerns(e.Name)
			case err := <-files.errors():
				t.Fatal(err)
			case <-end:
				t.Fatalf("%s: not noticed", c.what)
			}
		}
		for quiet := false; !quiet; { // the rest of the same change
			select {
			case <-files.events():
			case <-time.After(50 * time.Millisecond):
				quiet = true
			}
		}
	}
}
