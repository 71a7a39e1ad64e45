package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// Patience is how long a file may take by default.
const Patience = 2 * time.Second

var (
	// ErrNoAnswer is of a file that does not let itself be read in time.
	ErrNoAnswer = errors.New("does not answer: is it on a mount whose server is gone? Name another place, or repair the mount")
	// ErrNotRegular is of anything but a plain file, which is not opened.
	ErrNotRegular = errors.New("not a regular file")
	// ErrTooLarge is of a file that holds more than it may.
	ErrTooLarge = errors.New("too large")
)

// Source opens a regular file for reading; it may take for ever.
type Source func(path string) (io.ReadCloser, error)

// Reader reads whole files in bounded time. A file that has not answered keeps
// one thread until it does; meanwhile reading it again is an error at once.
type Reader struct {
	Source   Source
	Patience time.Duration

	mu  sync.Mutex
	due map[string]*reading // by path: under way
}

// reading is one look at a file.
type reading struct {
	done  chan struct{} // closed when the rest is there
	bytes []byte
	err   error
	late  bool // somebody has given up waiting for it; under the reader's lock
}

// NewReader reads files of this host.
func NewReader() *Reader { return &Reader{Source: openRegular, Patience: Patience} }

// Read gives the content of a file of at most most bytes. An error is ErrNoAnswer,
// ErrNotRegular, ErrTooLarge, that of ctx, or the file system's.
func (r *Reader) Read(ctx context.Context, path string, most int64) ([]byte, error) {
	g, late := r.begin(path, most)
	if late {
		return nil, ErrNoAnswer
	}
	timer := time.NewTimer(r.Patience)
	defer timer.Stop()
	select {
	case <-g.done:
		return g.bytes, g.err
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
	}
	r.mu.Lock()
	g.late = true
	r.mu.Unlock()
	return nil, fmt.Errorf("%w (waited %s)", ErrNoAnswer, r.Patience)
}

// begin starts to read a file, or joins who reads it already; late says that
// somebody has waited for it in vain.
func (r *Reader) begin(path string, most int64) (g *reading, late bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if g = r.due[path]; g != nil {
		return g, g.late
	}
	g = &reading{done: make(chan struct{})}
	if r.due == nil {
		r.due = map[string]*reading{}
	}
	r.due[path] = g
	go func() {
		g.bytes, g.err = r.read(path, most)
		r.mu.Lock()
		delete(r.due, path)
		r.mu.Unlock()
		close(g.done)
	}()
	return g, false
}

func (r *Reader) read(path string, most int64) ([]byte, error) {
	f, err := r.Source(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, most)
	}
	return b, err
}

// Within runs f, and gives up waiting for it after d: ErrNoAnswer. What f opens, it
// has to close.
func Within[T any](d time.Duration, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	done := make(chan result, 1)
	go func() {
		v, err := f()
		done <- result{v, err}
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case r := <-done:
		return r.v, r.err
	case <-timer.C:
		var none T
		return none, fmt.Errorf("%w (waited %s)", ErrNoAnswer, d)
	}
}
