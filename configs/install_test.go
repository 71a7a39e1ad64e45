package configs

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// makeIn runs make in the repository.
func makeIn(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "make", append([]string{"-C", "..", "--no-print-directory"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("make %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// tree lists the files below dir with their modes.
func tree(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		st, err := d.Info()
		fmt.Fprintf(&b, "%v %s\n", st.Mode(), strings.TrimPrefix(path, dir))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	makeIn(t, "install", "DESTDIR="+dir)
	want := `-rw-r----- /etc/lifeline/lifeline.toml
-rw-r----- /etc/lifeline/lifeline.toml.example
-rwxr-xr-x /usr/bin/lifeline
-rw-r--r-- /usr/lib/systemd/system/lifeline.service
-rw-r--r-- /usr/share/bash-completion/completions/lifeline
` + docs(t) + `-rw-r--r-- /usr/share/fish/vendor_completions.d/lifeline.fish
-rw-r--r-- /usr/share/zsh/site-functions/_lifeline
`
	if d := cmp.Diff(want, tree(t, dir)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	config := filepath.Join(dir, "etc/lifeline/lifeline.toml")
	if c, err := Load(config); err != nil || !cmp.Equal(c.Control, Default().Control) {
		t.Errorf("the installed configuration: %v", err)
	}
	if err := os.WriteFile(config, []byte("# mine\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	makeIn(t, "install", "DESTDIR="+dir)
	if b, err := os.ReadFile(config); err != nil || string(b) != "# mine\n" {
		t.Errorf("an operator's configuration was overwritten: %q, %v", b, err)
	}
	makeIn(t, "uninstall", "DESTDIR="+dir)
	if left := tree(t, dir); left != "-rw-r----- /etc/lifeline/lifeline.toml\n" {
		t.Errorf("uninstall leaves:\n%s", left)
	}
}

// docs are the documents that are installed, as tree lists them.
func docs(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, pattern := range []string{"../README.md", "../docs/*.md", "../docs/*.json", "packaging/systemd/lifeline.service.d/*.conf"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, f := range files {
			to := filepath.Join(dir, "usr/share/doc/lifeline", filepath.Base(f))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to, nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	return tree(t, dir)
}

// The unit starts the binary that was installed, and systemd finds nothing to
// complain about in it.
func TestInstalledUnit(t *testing.T) {
	dir := t.TempDir()
	makeIn(t, "install", "PREFIX="+dir, "SYSCONFDIR="+filepath.Join(dir, "etc"))
	unit := filepath.Join(dir, "lib/systemd/system/lifeline.service")
	b, err := os.ReadFile(unit)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"ExecStart=" + dir + "/bin/lifeline run",
		"ExecStopPost=" + dir + "/bin/lifeline release",
		"Documentation=file:" + dir + "/share/doc/lifeline/sidecar.md",
	} {
		if !strings.Contains(string(b), "\n"+line+"\n") {
			t.Errorf("lacks %q:\n%s", line, b)
		}
	}
	if strings.Contains(string(b), "/usr/bin") {
		t.Errorf("a path is not ours:\n%s", b)
	}
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed (Debian: systemd): the unit is not verified by it")
	}
	cmd := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", unit)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
