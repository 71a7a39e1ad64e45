package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// writeHole makes a file of zeros that takes no memory.
func writeHole(path string, size int64) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Truncate(size)
}

// holeEvery is how often received files are made holes again: at 1 Gbit/s some
// 30 MB are kept meanwhile.
const holeEvery = 250 * time.Millisecond

// keepHollow makes holes of what a batch receives, until the lab ends. The files
// were zeros, so they stay what they are.
func (l *Lab) keepHollow(ctx context.Context, b Batch) {
	done := map[string]int64{} // bytes from the begin that are a hole, by path
	tick := time.NewTicker(holeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, t := range b {
			for _, name := range l.source.names() {
				path := filepath.Join(t.Dest, name)
				// What cannot be let go of takes memory, and the lab's end frees it.
				done[path], _ = hollow(path, done[path])
			}
		}
	}
}

// hollow makes a hole of a file from a position to near its end, where its writer
// is at work, and returns where that hole ends (FALLOC_FL_PUNCH_HOLE in
// fallocate(2)). A file that is not there yet is no error.
func hollow(path string, from int64) (to int64, err error) {
	const tail = 1 << 20
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return from, nil
	}
	if err != nil {
		return from, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return from, err
	}
	to = (info.Size() - tail) &^ (tail - 1)
	if to <= from {
		return from, nil
	}
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, to-from); err != nil {
		return from, fmt.Errorf("lab: %s: punch a hole: %w", path, err)
	}
	return to, nil
}
