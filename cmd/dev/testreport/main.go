// Command testreport reads `go test -json` on standard input, shows which tests run
// while they do, prints what failed with its output, counts the rest, and fails when a
// test failed or when, as root, a test was skipped for want of root or of a namespace:
// a run that could not look is no proof.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"
)

func main() {
	r := newReport()
	if err := watch(os.Stdin, r, newProgress(os.Stdout)); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	if !r.conclude(os.Stdout, os.Geteuid() == 0) {
		os.Exit(1)
	}
}

// newProgress shows the progress as suits a terminal, or a log that is kept.
func newProgress(out *os.File) *progress {
	p := &progress{out: out, began: time.Now(), every: 30 * time.Second}
	if fd := int(out.Fd()); term.IsTerminal(fd) {
		p.every = time.Second
		p.width = func() int {
			w, _, err := term.GetSize(fd)
			if err != nil {
				return 80
			}
			return w
		}
	}
	return p
}

// watch takes all lines of in, and shows the progress now and then.
func watch(in io.Reader, r *report, p *progress) error {
	lines := make(chan []byte)
	ended := make(chan error, 1)
	go func() {
		defer close(lines)
		sc := bufio.NewScanner(in)
		sc.Buffer(nil, 16<<20)
		for sc.Scan() {
			lines <- append([]byte(nil), sc.Bytes()...)
		}
		ended <- sc.Err()
	}()
	tick := time.NewTicker(p.every)
	defer tick.Stop()
	for {
		select {
		case line, more := <-lines:
			if !more {
				p.clear()
				return <-ended
			}
			p.print(r.take(line, time.Now()))
		case now := <-tick.C:
			p.show(r, now)
		}
	}
}
