package main

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// row is one benchmark: the values of all its runs, by unit.
type row struct {
	name   string
	values map[string][]float64
}

// median is the middle run, the slower one of two.
func (r row) median(unit string) (float64, bool) {
	v := slices.Sorted(slices.Values(r.values[unit]))
	if len(v) == 0 {
		return 0, false
	}
	return v[len(v)/2], true
}

// procs is the number of threads that the testing package adds to a name.
var procs = regexp.MustCompile(`-\d+$`)

// read takes the results out of the benchmark format
// (https://go.dev/design/14313-benchmark-format). The runs of one benchmark are
// one row.
func read(text string) (rows []row, err error) {
	passed := false
	for line := range strings.Lines(text) {
		w := strings.Fields(line)
		switch {
		case len(w) == 0:
		case w[0] == "FAIL", w[0] == "---" && len(w) > 1 && w[1] == "FAIL:", w[0] == "panic:":
			return nil, errors.New("a benchmark failed, the page is left as it was")
		case w[0] == "ok", w[0] == "PASS":
			passed = true
		case strings.HasPrefix(w[0], "Benchmark") && len(w) >= 4:
			if rows, err = take(rows, w); err != nil {
				return nil, fmt.Errorf("%q: %w", strings.TrimSpace(line), err)
			}
		}
	}
	if !passed || len(rows) == 0 {
		return nil, errors.New("no benchmark ran to its end, the page is left as it was")
	}
	return rows, nil
}

// take adds one line: a name, the number of iterations, then values and units.
func take(rows []row, w []string) ([]row, error) {
	name := procs.ReplaceAllString(strings.TrimPrefix(w[0], "Benchmark"), "")
	i := slices.IndexFunc(rows, func(r row) bool { return r.name == name })
	if i < 0 {
		i = len(rows)
		rows = append(rows, row{name, map[string][]float64{}})
	}
	for v := w[2:]; len(v) >= 2; v = v[2:] {
		x, err := strconv.ParseFloat(v[0], 64)
		if err != nil {
			return nil, err
		}
		rows[i].values[v[1]] = append(rows[i].values[v[1]], x)
	}
	return rows, nil
}

// column is one column of the table: a unit of the benchmark format and how it
// is shown.
type column struct {
	title, unit string
	show        func(float64) string
}

// columns are the ones that are known; other metrics follow under their unit.
var columns = []column{
	{"time", "ns/op", duration},
	{"aim", "aim-ms", func(v float64) string { return "<= " + duration(v*1e6) }},
	{"allocated", "B/op", func(v float64) string { return fmt.Sprintf("%.2f MB", v/1e6) }},
	{"aim", "aim-MB", func(v float64) string { return fmt.Sprintf("<= %g MB", v) }},
	{"allocations", "allocs/op", func(v float64) string { return fmt.Sprintf("%.0f", v) }},
}

// duration shows nanoseconds with three digits.
func duration(ns float64) string {
	switch {
	case ns >= 1e9:
		return fmt.Sprintf("%.2f s", ns/1e9)
	case ns >= 1e8:
		return fmt.Sprintf("%.0f ms", ns/1e6)
	case ns >= 1e6:
		return fmt.Sprintf("%.1f ms", ns/1e6)
	case ns >= 1e3:
		return fmt.Sprintf("%.1f us", ns/1e3)
	}
	return fmt.Sprintf("%.1f ns", ns)
}

// table writes the rows, the median of each, with the columns that any has.
func table(w io.Writer, rows []row) {
	cols := slices.Clone(columns)
	for _, r := range rows {
		for unit := range r.values {
			if !slices.ContainsFunc(cols, func(c column) bool { return c.unit == unit }) {
				cols = append(cols, column{unit, unit, func(v float64) string { return fmt.Sprintf("%.4g", v) }})
			}
		}
	}
	slices.SortStableFunc(cols[len(columns):], func(a, b column) int { return strings.Compare(a.unit, b.unit) })
	cols = slices.DeleteFunc(cols, func(c column) bool {
		return !slices.ContainsFunc(rows, func(r row) bool { return len(r.values[c.unit]) > 0 })
	})
	runs := 0
	for _, r := range rows {
		runs = max(runs, len(r.values["ns/op"]))
	}
	fmt.Fprintf(w, "- Each figure is the median of %d runs.\n\n| benchmark |", runs)
	for _, c := range cols {
		fmt.Fprintf(w, " %s |", c.title)
	}
	fmt.Fprintf(w, "\n|---|%s\n", strings.Repeat("---|", len(cols)))
	for _, r := range rows {
		fmt.Fprintf(w, "| %s |", strings.ReplaceAll(r.name, "_", " "))
		for _, c := range cols {
			text := ""
			if v, ok := r.median(c.unit); ok {
				text = c.show(v) + " "
			}
			fmt.Fprintf(w, " %s|", text)
		}
		fmt.Fprintln(w)
	}
}
