package shaper

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
)

// fakeModules is a host whose kernel makes ifb0 and ifb1 when it loads the
// module by itself, as the real one does.
type fakeModules struct {
	files  map[string]string
	ifb    bool
	refuse error // of modprobe
	ran    []string
}

func (m *fakeModules) read(path string) ([]byte, error) {
	text, ok := m.files[path]
	if !ok {
		return nil, fmt.Errorf("open %s: %w", path, fs.ErrNotExist)
	}
	return []byte(text), nil
}

func (m *fakeModules) hasIFB() bool { return m.ifb }

func (m *fakeModules) load(args ...string) error {
	m.ran = append(m.ran, strings.Join(args, " "))
	return m.refuse
}

// The module is loaded by us, so that it makes no links, or it is not loaded at
// all.
func TestIFBBringsNoOtherLinks(t *testing.T) {
	const some = "sch_htb 40960 0 - Live 0x0\nveth 45056 0 - Live 0x0\n"
	release := map[string]string{"/proc/modules": some, "/proc/sys/kernel/osrelease": "6.1.0-1\n"}
	with := func(path, text string) map[string]string {
		files := map[string]string{path: text}
		for k, v := range release {
			if files[k] == "" {
				files[k] = v
			}
		}
		return files
	}
	for _, c := range []struct {
		name string
		m    fakeModules
		ran  string
		err  string
	}{
		{"a kernel without modules", fakeModules{}, "", ""},
		{"loaded", fakeModules{files: with("/proc/modules", some+"ifb 16384 0 - Live 0x0\n")}, "", ""},
		{"loaded first", fakeModules{files: with("/proc/modules", "ifb 16384 0 - Live 0x0\n"+some)}, "", ""},
		{"another of a like name", fakeModules{files: with("/proc/modules", some+"ifb2 16384 0 - Live 0x0\n")}, "ifb numifbs=0", ""},
		{"built in", fakeModules{files: with("/lib/modules/6.1.0-1/modules.builtin", "kernel/drivers/net/dummy.ko\nkernel/drivers/net/ifb.ko\n")}, "", ""},
		{"there already", fakeModules{files: release, ifb: true}, "", ""},
		{"to be loaded", fakeModules{files: release}, "ifb numifbs=0", ""},
		{"not to be had", fakeModules{files: release, refuse: errors.New("exit status 1: not permitted")}, "ifb numifbs=0",
			"module ifb is not loaded, and left to itself the kernel would make links with it: `modprobe ifb numifbs=0`: exit status 1: not permitted"},
	} {
		if before := checkIFBModule(&c.m); (before == nil) != (c.ran == "") || len(c.m.ran) > 0 {
			t.Errorf("%s: loaded: %v; ran %q", c.name, before, c.m.ran)
		}
		err := loadIFBModule(&c.m)
		if got := strings.Join(c.m.ran, "; "); got != c.ran {
			t.Errorf("%s: ran %q, want %q", c.name, got, c.ran)
		}
		if got := fmt.Sprint(err); err != nil && got != c.err || err == nil && c.err != "" {
			t.Errorf("%s: %v, want %q", c.name, err, c.err)
		}
	}
}
