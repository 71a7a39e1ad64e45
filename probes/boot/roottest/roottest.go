// Package roottest writes root file systems for tests. A tree comes in as a txtar
// archive, and an open rootfs.Tree that lives as long as the test goes out. It never
// writes outside of the test's own folder.
package roottest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"lifeline/probes/boot/rootfs"
)

// Tree is the root that an archive describes. The name of a file may be followed by its
// mode in octal digits ("etc/rc.local 0755"; 0644 is usual) or by what a symbolic link
// holds ("etc/localtime -> /usr/share/zoneinfo/UTC"). A name that ends in "/" is an
// empty directory.
func Tree(t testing.TB, archive string) *rootfs.Tree {
	t.Helper()
	dir := Dir(t, archive)
	tree, err := rootfs.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tree.Close() })
	return tree
}

// Dir is the directory of such a root.
func Dir(t testing.TB, archive string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range txtar.Parse([]byte(archive)).Files {
		if err := write(dir, f); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func write(dir string, f txtar.File) error {
	if name, target, ok := strings.Cut(f.Name, " -> "); ok {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		return os.Symlink(target, path)
	}
	name, digits, ok := strings.Cut(f.Name, " ")
	mode := uint64(0o644)
	if ok {
		var err error
		if mode, err = strconv.ParseUint(digits, 8, 12); err != nil {
			return err
		}
	}
	path := filepath.Join(dir, name)
	if strings.HasSuffix(name, "/") {
		return os.MkdirAll(path, 0o755)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path, f.Data, os.FileMode(mode)); err != nil {
		return err
	}
	return os.Chmod(path, os.FileMode(mode)) // whatever the umask
}
