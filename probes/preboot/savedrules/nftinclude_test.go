package savedrules

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lifeline/probes/iptables/lex"
)

func TestIncludePaths(t *testing.T) {
	text := `#!/usr/sbin/nft -f
# include "/etc/comment.nft"
flush ruleset
include "/etc/nftables/a.nft"
table inet x { comment "include \"no\""; include "./b.nft"; }
	include   "c/*.nft" # include "/d.nft"
add rule inet x y log prefix "a # b"; include "/e.nft"
includes "/f.nft"
`
	want := []string{"/etc/nftables/a.nft", "./b.nft", "c/*.nft", "/e.nft"}
	if got := lex.NFTIncludes([]byte(text)); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCollectIncludes(t *testing.T) {
	dir := tree(t, map[string]string{
		"etc/a.nft": "include \"b/*.nft\"\n", "etc/b/1.nft": "# one", "etc/b/2.nft": "include \"/etc/a.nft\"", "own.nft": "# own",
	})
	got, err := collectIncludes(Folder(dir), []byte("include \"/etc/a.nft\"\ninclude \""+dir+"/own.nft\"\ninclude \"/etc/none/*.nft\""))
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, f := range got {
		paths = append(paths, f.Path)
	}
	want := []string{"/etc/a.nft", "/etc/b/1.nft", "/etc/b/2.nft", dir + "/own.nft"}
	if !slices.Equal(paths, want) {
		t.Errorf("%q, want %q", paths, want)
	}
}

func TestCollectIncludesStaysInside(t *testing.T) {
	dir := tree(t, map[string]string{"etc/deep.nft": "", "etc/x": ""})
	outside := tree(t, map[string]string{"secret.nft": "secret"})
	if err := os.Symlink(filepath.Join(outside, "secret.nft"), filepath.Join(dir, "etc/link.nft")); err != nil {
		t.Fatal(err)
	}
	for i, text := range []string{
		`include "/etc/shadow"`, `include "../../../../etc/passwd"`, `include "/etc/link.nft"`, `include "/etc/l*.nft"`,
		`include "` + outside + `/secret.nft"`, `include "/etc"`,
	} {
		if got, err := collectIncludes(Folder(dir), []byte(text)); err == nil {
			t.Errorf("%s: %d files", text, len(got))
		} else if i != 5 && !strings.Contains(err.Error(), "is not inside "+dir) {
			t.Errorf("%s: %v", text, err)
		}
	}
	var b strings.Builder
	for i := range maxIncludes + 1 {
		name := filepath.Join("/many", strings.Repeat("x", i%200+1)+string(rune('a'+i/200)))
		if err := os.MkdirAll(dir+"/many", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		b.WriteString("include \"" + name + "\"\n")
	}
	if _, err := collectIncludes(Folder(dir), []byte(b.String())); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("endless includes: %v", err)
	}
}

func FuzzIncludePaths(f *testing.F) {
	f.Add([]byte("include \"/a\" # x\n;include \"b\""))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, p := range lex.NFTIncludes(text) {
			if strings.ContainsAny(p, "\"\n") {
				t.Errorf("%q", p)
			}
		}
	})
}
