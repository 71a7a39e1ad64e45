package logwriter

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func text(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) }

// Lines come out whole, in order, and all of them.
func TestLinesAreWrittenInOrder(t *testing.T) {
	var out bytes.Buffer
	w := New(&out, text)
	for i := range 1000 {
		fmt.Fprintf(w, "line %d\n", i)
	}
	w.Close(time.Minute)
	i := 0
	for line := range strings.Lines(out.String()) {
		if line != fmt.Sprintf("line %d\n", i) {
			t.Fatalf("line %d is %q", i, line)
		}
		i++
	}
	if i != 1000 {
		t.Errorf("%d lines", i)
	}
}

// A pipe that nobody reads holds up nobody, and once somebody does the log tells how
// many lines are missing.
func TestBlockedPipe(t *testing.T) {
	r, pipe, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w := New(pipe, text)
	log := slog.New(text(w))
	const logged = 20000 // far more than a pipe and the queue hold
	for i := range logged {
		log.Info("said", "n", i)
	}
	w.mu.Lock()
	dropped := w.dropped
	w.mu.Unlock()
	if dropped == 0 {
		t.Fatal("nothing was dropped: it waited")
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			lines <- s.Text()
		}
	}()
	for next := 0; next < logged; {
		line := <-lines
		if _, after, ok := strings.Cut(line, "nobody read the log\" lines="); ok {
			missing := 0
			if _, err := fmt.Sscan(after, &missing); err != nil || missing == 0 {
				t.Fatalf("%v: %q", err, line)
			}
			next += missing
			continue
		}
		if !strings.HasSuffix(line, fmt.Sprintf("msg=said n=%d", next)) {
			t.Fatalf("line %d is %q", next, line)
		}
		next++
	}
	log.Info("again")
	if line := <-lines; !strings.Contains(line, "msg=again") {
		t.Errorf("after that: %q", line)
	}
	w.Close(time.Minute)
	pipe.Close()
	for range lines { // until its end
	}
}

// stuck is a file that takes nothing until it is freed.
type stuck chan struct{}

func (s stuck) Write(b []byte) (int, error) {
	<-s
	return len(b), nil
}

// Closing does not wait for ever, and what is logged then is dropped.
func TestCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out := make(stuck)
		w := New(out, text)
		fmt.Fprintln(w, "said")
		begin := time.Now()
		w.Close(time.Second)
		if took := time.Since(begin); took != time.Second {
			t.Errorf("took %s", took)
		}
		if n, err := fmt.Fprintln(w, "late"); n != 5 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		close(out)
		<-w.done
	})
}
