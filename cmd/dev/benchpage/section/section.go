package section

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Section is one measured part of a page.
type Section struct {
	// Name stands in the markers; it is a single word.
	Name string
	// Command gives the figures when it is run again.
	Command string
	// Body is Markdown: what was measured and how, and the figures.
	Body string
}

// Write puts the section into the page in place of the one of the same name.
// The page must have its markers already: a person decides where it stands.
func Write(page string, s Section) error {
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	m, err := describeMachine(os.ReadFile)
	if err != nil {
		return fmt.Errorf("describe this machine: %w", err)
	}
	text, err := splice(string(old), s.Name, render(s, m, time.Now()))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return replace(page, text)
}

// render is the section without its markers.
func render(s Section, machine string, now time.Time) string {
	return fmt.Sprintf("\n- Command: `%s`.\n- Machine: %s.\n- Date: %s.\n%s\n\n",
		s.Command, machine, now.Format(time.DateOnly), strings.Trim(s.Body, "\n"))
}

// splice puts text between the markers of the named section.
func splice(page, name, text string) (string, error) {
	if name == "" || strings.ContainsAny(name, " \t\n<>") {
		return "", fmt.Errorf("%q cannot name a section", name)
	}
	begin, end := "<!-- section "+name+" -->\n", "<!-- end "+name+" -->\n"
	if n := strings.Count(page, begin); n != 1 {
		return "", fmt.Errorf("%d lines %q: write one where the section is to stand, and %q below it",
			n, strings.TrimSpace(begin), strings.TrimSpace(end))
	}
	head, rest, _ := strings.Cut(page, begin)
	old, tail, closed := strings.Cut(rest, end)
	if !closed || strings.Contains(old, "<!-- section ") {
		return "", fmt.Errorf("section %q is not closed by %q", name, strings.TrimSpace(end))
	}
	return head + begin + text + end + tail, nil
}

// replace writes the page as a whole or not at all.
func replace(page, text string) error {
	info, err := os.Stat(page)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(page), filepath.Base(page)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already where all went well
	_, err = f.WriteString(text)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Chmod(f.Name(), info.Mode().Perm())
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), page)
}
