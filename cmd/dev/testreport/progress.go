package main

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// progress shows which tests run: on a terminal as a last line that is written
// over, in a log as a line now and then.
type progress struct {
	out   io.Writer
	began time.Time
	every time.Duration
	width func() int // columns of the terminal; nil without one
	shown bool       // the last line is to be written over
}

// print writes what is to stay; nothing where text is empty.
func (p *progress) print(text string) {
	if text == "" {
		return
	}
	p.clear()
	io.WriteString(p.out, text)
}

// clear removes the last line.
func (p *progress) clear() {
	if p.shown {
		io.WriteString(p.out, "\r\x1b[K") // ECMA-48: to the first column, erase to the end
		p.shown = false
	}
}

// show writes what runs at a moment.
func (p *progress) show(r *report, now time.Time) {
	line := fmt.Sprintf("%5s  %s", clock(now.Sub(p.began)), r.running(now))
	if p.width == nil {
		fmt.Fprintln(p.out, line)
		return
	}
	p.clear()
	if most := p.width() - 1; len(line) > most {
		line = line[:max(0, most)]
	}
	io.WriteString(p.out, line)
	p.shown = true
}

// clock is a time as minutes and seconds.
func clock(d time.Duration) string {
	s := int(d.Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}

// running says which packages and tests run, and for how long.
func (r *report) running(now time.Time) string {
	if len(r.packages) == 0 {
		return fmt.Sprintf("%d passed; compiling", len(r.passed))
	}
	var words []string
	for _, pkg := range sortedKeys(r.packages) {
		var tests []string
		for _, k := range r.unfinished(pkg) {
			if !r.waiting[k] && !r.parent(k) {
				tests = append(tests, fmt.Sprintf("%s %s", k.test, clock(now.Sub(r.began[k]))))
			}
		}
		words = append(words, strings.TrimPrefix(pkg, module)+": "+strings.Join(tests, ", "))
	}
	return fmt.Sprintf("%d passed; %s", len(r.passed), strings.Join(words, "; "))
}
