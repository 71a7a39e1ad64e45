package savedrules

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// openFile opens a file, or a pipe as a shell's <(command) is one, without
// waiting for anybody. Anything else is not even opened: opening a device may
// do something.
func openFile(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return openFound(fd, path, true)
}

// openFound opens for reading what a descriptor refers to that has opened nothing
// (O_PATH): what was looked at is what is opened.
func openFound(fd int, path string, pipes bool) (*os.File, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFREG, kind == unix.S_IFIFO && pipes:
	case kind == unix.S_IFDIR:
		return nil, errors.New("is a directory")
	case pipes:
		return nil, errors.New("is neither a file nor a pipe")
	default:
		return nil, errors.New("is not a file")
	}
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(again), path), nil
}

// Folder is the directory of a host description. What the description names lies in
// it, and so does what that includes.
type Folder string

// Everywhere is the folder of this machine's own files.
const Everywhere Folder = "/"

// Resolve is the path of what a description names: relative to the folder, or, where
// it is absolute and leads elsewhere, below the folder as on the machine described.
func (f Folder) Resolve(path string) string {
	if path == "" {
		return ""
	}
	if rel, err := filepath.Rel(string(f), path); filepath.IsAbs(path) && err == nil && filepath.IsLocal(rel) {
		return path
	}
	return filepath.Join(string(f), path)
}

// open opens a regular file of the folder. Neither ".." nor a symbolic link leads out
// of it (openat2(2)).
func (f Folder) open(path string) (*os.File, error) {
	rel, err := filepath.Rel(string(f), path)
	if err != nil || !filepath.IsLocal(rel) {
		return nil, f.outside(path)
	}
	dir, err := unix.Open(string(f), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: string(f), Err: err}
	}
	defer unix.Close(dir)
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_MAGICLINKS}
	if f == Everywhere {
		how.Resolve = unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS
	}
	fd, err := unix.Openat2(dir, rel, &how)
	switch {
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.ELOOP):
		return nil, f.outside(path)
	case err != nil:
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer unix.Close(fd)
	return openFound(fd, path, false)
}

func (f Folder) outside(path string) error {
	return fmt.Errorf("%s leads out of %s, the folder of the host description: copy the file there, and name it relative to the description", path, string(f))
}
