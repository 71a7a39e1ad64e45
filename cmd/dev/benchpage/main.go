// Command benchpage reads what `go test -bench` prints on standard input, passes
// it on, and puts it as a table into one section of docs/benchmarks.md. It
// writes nothing if a benchmark failed.
//
//	go test -run '^$' -bench . -count 5 ./probes/x | benchpage -section x -command 'make bench-x'
//
// A benchmark that has an aim reports it, in milliseconds or megabytes, as a
// metric of its own: b.ReportMetric(50, "aim-ms").
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"lifeline/cmd/dev/benchpage/section"
)

func main() {
	var s section.Section
	page := flag.String("page", "docs/benchmarks.md", "the page to write")
	flag.StringVar(&s.Name, "section", "", "the name of the section")
	flag.StringVar(&s.Command, "command", "", "what to run to get the figures again")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, *page, s); err != nil {
		fmt.Fprintln(os.Stderr, "benchpage:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, echo io.Writer, page string, s section.Section) error {
	if s.Name == "" || s.Command == "" {
		return errors.New("-section and -command are needed")
	}
	text, err := io.ReadAll(io.TeeReader(in, echo))
	if err != nil {
		return err
	}
	rows, err := read(string(text))
	if err != nil {
		return err
	}
	var b strings.Builder
	table(&b, rows)
	s.Body = b.String()
	return section.Write(page, s)
}
