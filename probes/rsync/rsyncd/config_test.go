package rsyncd

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// files is a tree of configuration files.
type textFiles map[string]string

func (f textFiles) read(name string) ([]byte, error) {
	text, ok := f[name]
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return []byte(text), nil
}

func (f textFiles) list(dir string) ([]string, error) {
	var names []string
	for name := range f {
		if path.Dir(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	if names == nil {
		if _, ok := f[dir]; ok {
			return nil, fmt.Errorf("%s: not a directory", dir)
		}
		return nil, fmt.Errorf("%s: %w", dir, fs.ErrNotExist)
	}
	return names, nil
}

func TestParseConfig(t *testing.T) {
	tree := textFiles{
		"/etc/rsyncd.conf": `
# comment = no
timeout = 300
Read Only = no
&include /etc/rsyncd.d
[ backup ]
  path = /srv/./backup/
  time out = 20
  comment = a \
	path = /not/this
[pub]
path=/srv/pub
readonly = Yes
&merge more.inc
[global]
write_only = true
[backup]
write only = yes
[late]
path = /late
broken line
[unterminated
`,
		"/etc/rsyncd.d/a.conf":    "timeout = 7\nread only = yes\n[inc]\npath = /inc\n",
		"/etc/rsyncd.d/b.disable": "[no]\npath = /no\n",
		"/etc/more.inc":           "timeout = 5\n",
	}
	got, err := parseConfig("/etc/rsyncd.conf", tree.read, tree.list)
	if err != nil {
		t.Fatal(err)
	}
	want := []Module{
		{Name: "inc", Path: "/inc", Timeout: 7 * time.Second, ReadOnly: true},
		{Name: "backup", Path: "/srv/backup", Timeout: 20 * time.Second, WriteOnly: true},
		{Name: "pub", Path: "/srv/pub", Timeout: 5 * time.Second, ReadOnly: true},
		{Name: "late", Path: "/late", Timeout: 300 * time.Second, WriteOnly: true},
	}
	if diff := cmp.Diff(want, got.Modules); diff != "" {
		t.Errorf("modules (-want +got):\n%s", diff)
	}
}

func TestParseConfigFailures(t *testing.T) {
	for name, tree := range map[string]textFiles{
		"missing":         {},
		"missing include": {"/c": "&include /nowhere\n"},
		"circle":          {"/c": "&merge /c\n"},
		"endless line":    {"/c": strings.Repeat("x", 2<<20)},
	} {
		if got, err := parseConfig("/c", tree.read, tree.list); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}

func TestModuleAt(t *testing.T) {
	config := Config{Modules: []Module{
		{Name: "all", Path: "/srv", ReadOnly: true, Timeout: 60 * time.Second},
		{Name: "in", Path: "/srv/in"},
		{Name: "ro", Path: "/ro", ReadOnly: true},
		{Name: "twin1", Path: "/twin", ReadOnly: true},
		{Name: "twin2", Path: "/twin", ReadOnly: true, Timeout: 3 * time.Second},
		{Name: "homes", Path: "/home/%RSYNC_USER_NAME%/x"},
		{Name: "homes-ro", Path: "/home", ReadOnly: true},
		{Name: "none"},
	}}
	for dir, want := range map[string]Module{
		"/srv":     {Name: "all", Path: "/srv", ReadOnly: true, Timeout: 60 * time.Second},
		"/srv/in":  {Name: "in", Path: "/srv/in", Timeout: 60 * time.Second},
		"/srv/inn": {Name: "all", Path: "/srv", ReadOnly: true, Timeout: 60 * time.Second},
		"/ro/a/b":  {Name: "ro", Path: "/ro", ReadOnly: true},
		"/twin":    {Path: "/twin", ReadOnly: true, Timeout: 3 * time.Second},
	} {
		got, ok := config.ModuleAt(dir)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("%s (-want +got):\n%s", dir, diff)
		}
	}
	if got, ok := config.ModuleAt("/elsewhere"); ok {
		t.Errorf("a directory of no module: got %+v", got)
	}
	if got, _ := config.ModuleAt("/home/me/x"); got.ReadOnly {
		t.Errorf("a module of a variable path may be the one, and can be written to: got %+v", got)
	}
}

func TestDaemonParams(t *testing.T) {
	config := Config{Modules: []Module{{Name: "a"}, {Name: "b", Timeout: 3 * time.Second}}}
	got := config.withParams([]string{"timeout=10", "path=/x", "junk"})
	want := []Module{{Name: "a", Timeout: 10 * time.Second}, {Name: "b", Timeout: 3 * time.Second}}
	if diff := cmp.Diff(want, got.Modules); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if config.Modules[0].Timeout != 0 {
		t.Error("the configuration itself was changed")
	}
}
