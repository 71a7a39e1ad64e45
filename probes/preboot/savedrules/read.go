package savedrules

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"lifeline/watchdog/files"
)

const (
	// maxFileBytes bounds every file that is read: 100,000 rules are 10 MB.
	maxFileBytes = 64 << 20
	// pipeDeadline is how long the writer of a pipe may take.
	pipeDeadline = 10 * time.Second
)

// fileDeadline is how long a file may take that is on a dead mount, or that has
// no end, as /proc/kmsg.
var fileDeadline = pipeDeadline + 2*time.Second

var errTooLarge = errors.New("larger than 64 MB")

// readable says what is wrong with the kind of a file.
func readable(st fs.FileInfo) error {
	switch m := st.Mode(); {
	case m.IsRegular(), m&fs.ModeNamedPipe != 0:
		return nil
	case m.IsDir():
		return errors.New("is a directory")
	}
	return errors.New("is neither a file nor a pipe")
}

// readBounded reads an open file to its end. A pipe must have something to
// say, and in good time: nobody at its other end is not an empty file.
func readBounded(f *os.File) ([]byte, error) {
	st, err := f.Stat()
	if err == nil {
		err = readable(st)
	}
	if err != nil {
		return nil, err
	}
	if st.Mode().IsRegular() && st.Size() > maxFileBytes {
		return nil, errTooLarge
	}
	pipe := st.Mode()&fs.ModeNamedPipe != 0
	if pipe {
		if err := f.SetReadDeadline(time.Now().Add(pipeDeadline)); err != nil {
			return nil, fmt.Errorf("pipe: %w", err)
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxFileBytes:
		return nil, errTooLarge
	case pipe && len(text) == 0:
		return nil, errors.New("is a pipe that nobody writes to")
	}
	return text, nil
}

// ReadFile opens and reads a file, in bounded time. The error names it.
func ReadFile(path string) ([]byte, error) {
	text, err := files.Within(fileDeadline, func() ([]byte, error) {
		f, err := openFile(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readBounded(f)
	})
	if err != nil {
		return nil, named(path, err)
	}
	return text, nil
}

// named puts the path in front of an error that does not name it.
func named(path string, err error) error {
	var has *fs.PathError
	if errors.As(err, &has) {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
