package logwriter

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"
)

// maxQueued bounds what waits to be written, bytes: some hundred lines.
const maxQueued = 64 << 10

// Writer is an io.Writer of whole log lines.
type Writer struct {
	out    io.Writer
	handle func(io.Writer) slog.Handler // writes one line, in the log's format
	wake   chan struct{}                // a line was queued, or the writer was closed
	done   chan struct{}                // all that was queued is written

	mu      sync.Mutex
	queued  []byte
	dropped int // lines, since the last one that was queued
	closed  bool
}

// New makes a Writer to out, which is written to by one goroutine alone. handle makes
// the handler of the log: what it writes says how many lines were dropped.
func New(out io.Writer, handle func(io.Writer) slog.Handler) *Writer {
	w := &Writer{out: out, handle: handle, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.drain()
	return w
}

// Write queues one line, or drops it where too much waits already, and all that follow
// until what waits is written. It gives no error: a logger could do nothing about it.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.dropped > 0 || len(w.queued)+len(line) > maxQueued {
		w.dropped++
		return len(line), nil
	}
	w.queued = append(w.queued, line...)
	w.signal()
	return len(line), nil
}

// Close lets what waits be written, for at most the given time. What is logged later
// is dropped.
func (w *Writer) Close(within time.Duration) {
	w.mu.Lock()
	w.closed = true
	w.signal()
	w.mu.Unlock()
	select {
	case <-w.done:
	case <-time.After(within):
	}
}

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // it is awake
	}
}

// drain writes what is queued until the writer is closed and nothing waits. A file
// that cannot be written to at all is nobody's to be told of.
func (w *Writer) drain() {
	defer close(w.done)
	for range w.wake {
		for {
			lines, dropped, closed := w.take()
			_, _ = w.out.Write(lines)
			if dropped > 0 {
				w.report(dropped)
			}
			if len(lines) > 0 || dropped > 0 {
				continue
			}
			if closed {
				return
			}
			break
		}
	}
}

// take takes all that waits, and the number of lines that were dropped after it.
func (w *Writer) take() (lines []byte, dropped int, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines, dropped, closed = w.queued, w.dropped, w.closed
	w.queued, w.dropped = nil, 0
	return lines, dropped, closed
}

// report writes how many lines were dropped.
func (w *Writer) report(dropped int) {
	r := slog.NewRecord(time.Now(), slog.LevelWarn, "log lines were dropped: nobody read the log", 0)
	r.AddAttrs(slog.Int("lines", dropped))
	_ = w.handle(w.out).Handle(context.Background(), r)
}
