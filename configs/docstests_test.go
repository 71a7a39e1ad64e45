package configs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testNamed   = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w+`)
	testWritten = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w+)\(`)
)

// documents are the project's pages, by their paths.
func documents(t *testing.T) map[string]string {
	t.Helper()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, page := range append(pages, "../README.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		out[page] = string(text)
	}
	return out
}

// What a document promises of a test is worth something only while there is that test.
func TestDocumentsNameTestsThatExist(t *testing.T) {
	written := map[string]bool{}
	err := filepath.WalkDir("..", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, m := range testWritten.FindAllSubmatch(text, -1) {
			written[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for page, text := range documents(t) {
		for _, name := range testNamed.FindAllString(text, -1) {
			named++
			if !written[name] {
				t.Errorf("%s names %s, which is not there", page, name)
			}
		}
	}
	if named == 0 {
		t.Error("no document names a test")
	}
}

// pathNamed matches a file or a directory of the source in a document.
var pathNamed = regexp.MustCompile("`((?:watchdog|probes|remediate|configs|cmd|control|engine)/[A-Za-z0-9_./-]+)`")

// A document that leads to a file which has moved leads nowhere. What lies in watchdog may
// be named without that.
func TestDocumentsNameFilesThatExist(t *testing.T) {
	named := 0
	for page, text := range documents(t) {
		for _, m := range pathNamed.FindAllStringSubmatch(text, -1) {
			named++
			_, err := os.Stat(filepath.Join("..", m[1]))
			_, inWatchdog := os.Stat(filepath.Join("../watchdog", m[1]))
			if err != nil && inWatchdog != nil {
				t.Errorf("%s names %s, which is not there", page, m[1])
			}
		}
	}
	if named == 0 {
		t.Error("no document names a file")
	}
}
