package lab

import (
	"bufio"
	"context"
	crand "crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
)

// source is the tree that every transfer copies: random files, which neither
// compression nor a delta can shorten, or holes. It is made when first needed.
type source struct {
	dir    string
	files  int
	size   int64
	sparse bool

	make sync.Once
	err  error

	mu   sync.Mutex
	sums map[string][sha256.Size]byte // by path relative to dir
}

// SourceDir returns the directory of the source files, which is also the path
// of rsyncd's module src, and makes the files first if there are none yet.
func (l *Lab) SourceDir() (string, error) {
	l.source.make.Do(func() { l.source.err = l.source.fill() })
	return l.source.dir, l.source.err
}

func (s *source) fill() error {
	var seed [32]byte
	crand.Read(seed[:])
	random := rand.NewChaCha8(seed)
	for _, name := range s.names() {
		if err := s.write(filepath.Join(s.dir, name), random); err != nil {
			return fmt.Errorf("lab: source file: %w", err)
		}
	}
	return nil
}

// names are the files' names.
func (s *source) names() (all []string) {
	for i := range s.files {
		all = append(all, fmt.Sprintf("f%d", i+1))
	}
	return all
}

func (s *source) write(path string, random io.Reader) error {
	if s.sparse {
		return writeHole(path, s.size)
	}
	return writeRandom(path, s.size, random)
}

func writeRandom(path string, size int64, random io.Reader) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	if _, err := io.CopyN(w, random, size); err != nil {
		return err
	}
	return w.Flush()
}

// checksums returns the checksum of every regular file below the source.
func (s *source) checksums(ctx context.Context) (map[string][sha256.Size]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sums != nil {
		return s.sums, nil
	}
	sums := map[string][sha256.Size]byte{}
	err := filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		name, err := filepath.Rel(s.dir, path)
		if err != nil {
			return err
		}
		sums[name], err = checksum(ctx, path)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab: source: %w", err)
	}
	s.sums = sums
	return sums, nil
}

// verify compares a transfer's destination with the source.
func (s *source) verify(ctx context.Context, dest string) error {
	sums, err := s.checksums(ctx)
	if err != nil {
		return err
	}
	for name, want := range sums {
		path := filepath.Join(dest, name)
		got, err := checksum(ctx, path)
		if err != nil {
			return fmt.Errorf("lab: verify: %w", err)
		}
		if got != want {
			return fmt.Errorf("lab: verify: %s differs from its source", path)
		}
	}
	return nil
}

func checksum(ctx context.Context, path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	buf := make([]byte, 1<<20)
	for {
		if err := ctx.Err(); err != nil {
			return sum, err
		}
		n, err := f.Read(buf)
		h.Write(buf[:n])
		if err == io.EOF {
			return [sha256.Size]byte(h.Sum(nil)), nil
		}
		if err != nil {
			return sum, err
		}
	}
}
