package main

import (
	"io"
	"strings"
	"testing"
	"time"
)

// silent shows its progress to nobody.
func silent() *progress { return &progress{out: io.Discard, every: time.Hour} }

func TestConclude(t *testing.T) {
	pass := `{"Action":"pass","Package":"p","Test":"A"}` + "\n"
	skip := `{"Action":"output","Package":"p","Test":"B","Output":"    x.go:1: needs root\n"}
{"Action":"skip","Package":"p","Test":"B"}
`
	for name, tc := range map[string]struct {
		in   string
		root bool
		want bool
	}{
		"all passed":       {pass, true, true},
		"nothing ran":      {"", false, false},
		"skipped, no root": {pass + skip, false, true},
		"skipped as root":  {pass + skip, true, false},
		"then run":         {pass + skip + `{"Action":"pass","Package":"p","Test":"B"}`, true, true},
		"failed":           {pass + `{"Action":"fail","Package":"p","Test":"C"}`, true, false},
		"package failed":   {pass + `{"Action":"fail","Package":"p"}`, true, false},
		"no event":         {pass + "panic: broken", true, false},
	} {
		r := newReport()
		var out strings.Builder
		if err := watch(strings.NewReader(tc.in), r, silent()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := r.conclude(&out, tc.root); got != tc.want {
			t.Errorf("%s: %v, want %v\n%s", name, got, tc.want, out.String())
		}
	}
}

// A test that hung has no end of its own; what it wrote must be shown.
func TestUnfinishedIsShown(t *testing.T) {
	in := `{"Action":"run","Package":"p","Test":"Hangs"}
{"Action":"output","Package":"p","Test":"Hangs","Output":"panic: test timed out\n"}
{"Action":"fail","Package":"p"}
`
	r := newReport()
	var out strings.Builder
	if err := watch(strings.NewReader(in), r, silent()); err != nil {
		t.Fatal(err)
	}
	if r.conclude(&out, true) || !strings.Contains(out.String(), "=== p Hangs\npanic: test timed out") {
		t.Errorf("%s", out.String())
	}
}

// feed takes events, one a second from the first on.
func feed(r *report, begin time.Time, events ...string) (now time.Time, printed string) {
	now = begin
	for _, e := range events {
		printed += r.take([]byte(e), now)
		now = now.Add(time.Second)
	}
	return now, printed
}

// What runs is shown with the time since it began, or got its turn.
func TestRunningIsShown(t *testing.T) {
	r, begin := newReport(), time.Unix(0, 0)
	now, _ := feed(r, begin,
		`{"Action":"start","Package":"lifeline/p"}`,
		`{"Action":"run","Package":"lifeline/p","Test":"A"}`,
		`{"Action":"pass","Package":"lifeline/p","Test":"A"}`,
		`{"Action":"run","Package":"lifeline/p","Test":"B"}`,
		`{"Action":"run","Package":"lifeline/p","Test":"B/one"}`,
		`{"Action":"run","Package":"lifeline/p","Test":"C"}`,
		`{"Action":"pause","Package":"lifeline/p","Test":"C"}`,
		`{"Action":"run","Package":"lifeline/p","Test":"D"}`,
		`{"Action":"pause","Package":"lifeline/p","Test":"D"}`,
		`{"Action":"cont","Package":"lifeline/p","Test":"D"}`)
	const want = "1 passed; p: B/one 1:06, D 1:01"
	if got := r.running(now.Add(time.Minute)); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	_, printed := feed(r, now, `{"Action":"pass","Package":"lifeline/p","Elapsed":12.34}`)
	if printed != "ok    lifeline/p 12.3s\n" || r.running(now) != "1 passed; compiling" {
		t.Errorf("%q, %q", printed, r.running(now))
	}
}

// On a terminal the progress is one line that is written over, in a log many.
func TestProgress(t *testing.T) {
	r, begin := newReport(), time.Unix(0, 0)
	var b strings.Builder
	p := &progress{out: &b, began: begin, width: func() int { return 20 }}
	p.show(r, begin.Add(75*time.Second))
	p.print("")
	p.print("ok    p\n")
	if want := " 1:15  0 passed; co\r\x1b[Kok    p\n"; b.String() != want {
		t.Errorf("terminal: %q, want %q", b.String(), want)
	}
	b.Reset()
	p = &progress{out: &b, began: begin}
	p.show(r, begin.Add(75*time.Second))
	p.print("ok    p\n")
	if want := " 1:15  0 passed; compiling\nok    p\n"; b.String() != want {
		t.Errorf("log: %q, want %q", b.String(), want)
	}
}
