package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog"
)

// cpu is one line of softnet_stat as Linux 5.14 and later write it.
func cpu(index, dropped, squeezed uint32) string {
	return fmt.Sprintf("%08x %08x %08x 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 %08x 00000000 00000000\n",
		1000, dropped, squeezed, index)
}

// proc is a /proc with one file, which write replaces.
func proc(t *testing.T) (s *Softnet, write func(lines ...string)) {
	t.Helper()
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "net"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := NewSoftnet(root)
	if err != nil {
		t.Fatal(err)
	}
	return s, func(lines ...string) {
		if err := os.WriteFile(filepath.Join(root, "net", "softnet_stat"), []byte(strings.Join(lines, "")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSoftnet(t *testing.T) {
	s, write := proc(t)
	steps := []struct {
		name  string
		at    time.Duration
		lines []string
		want  watchdog.Softnet
	}{
		{"first look", 0, []string{cpu(0, 10, 5), cpu(1, 0, 0)}, watchdog.Softnet{}},
		{"two seconds later", 2 * time.Second, []string{cpu(0, 20, 5), cpu(1, 4, 8)}, watchdog.Softnet{Known: true, Dropped: 7, TimeSqueeze: 4}},
		{"held within two seconds", 2100 * time.Millisecond, []string{cpu(0, 999, 5), cpu(1, 4, 8)}, watchdog.Softnet{Known: true, Dropped: 7, TimeSqueeze: 4}},
		{"new CPU counts from its second look", 4 * time.Second, []string{cpu(0, 20, 5), cpu(1, 4, 8), cpu(2, 5000, 0)}, watchdog.Softnet{Known: true}},
		{"counter fell", 6 * time.Second, []string{cpu(0, 1, 5), cpu(1, 4, 8)}, watchdog.Softnet{}},
		{"known again", 8 * time.Second, []string{cpu(0, 3, 5), cpu(1, 4, 8)}, watchdog.Softnet{Known: true, Dropped: 1}},
		{"time went back", 0, []string{cpu(0, 2, 5)}, watchdog.Softnet{}},
	}
	for _, c := range steps {
		write(c.lines...)
		if got, errs := s.Sample(c.at); got != c.want || len(errs) > 0 {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, errs, c.want)
		}
	}
}

func TestSoftnetErrorIsUnknown(t *testing.T) {
	s, write := proc(t)
	write(cpu(0, 1, 1))
	s.Sample(0)
	write("not hexadecimal at all\n")
	if got, errs := s.Sample(2 * time.Second); got.Known || len(errs) != 1 {
		t.Errorf("broken file: %+v, %v", got, errs)
	}
	write(cpu(0, 50, 1))
	if got, errs := s.Sample(4 * time.Second); got.Known || len(errs) != 0 {
		t.Errorf("first look after an error: %+v, %v", got, errs)
	}
}

func TestNewSoftnetWithoutProc(t *testing.T) {
	if _, err := NewSoftnet(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("no error")
	}
}

func TestSoftnetOfThisHost(t *testing.T) {
	s, err := NewSoftnet("/proc")
	if err != nil {
		t.Skip(err)
	}
	for _, at := range []time.Duration{0, softnetEvery} {
		got, errs := s.Sample(at)
		if len(errs) > 0 {
			t.Skip(errs)
		}
		if got.Known != (at > 0) {
			t.Errorf("at %v: %+v", at, got)
		}
	}
}
