// Package rootfs reads the files of a root file system that need not be this
// machine's own: a path goes in, its content or kind as a process with that root
// would find it comes out. Symbolic links, absolute ones too, are followed below the
// root and never out of it. Nothing is written or executed, and nothing but regular
// files is opened.
package rootfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxFile bounds each file that is read whole, in bytes.
const MaxFile = 64 << 20

// maxLinks is how many symbolic links one path may lead through, as in the kernel
// (path_resolution(7)).
const maxLinks = 40

// maxRaces is how often a look-up is tried again that met a rename (openat2(2), EAGAIN).
const maxRaces = 100

// ErrTooLarge tells that a file is larger than MaxFile.
var ErrTooLarge = fmt.Errorf("larger than %d MB", MaxFile>>20)

// Tree is a root directory. Its methods take absolute paths as seen from within, and
// their errors name these; fs.ErrNotExist tells that there is nothing, any other error
// that it could not be looked at. It may be used by several goroutines.
type Tree struct {
	dir *os.File
}

// Open is the tree below a directory.
func Open(dir string) (*Tree, error) {
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return &Tree{dir: f}, nil
}

// Close ends the use of the tree.
func (t *Tree) Close() error { return t.dir.Close() }

// find refers to a path without opening what is there.
func (t *Tree) find(name string, flags uint64) (int, error) {
	how := unix.OpenHow{
		Flags:   unix.O_PATH | unix.O_CLOEXEC | flags,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS,
	}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(int(t.dir.Fd()), clean(name), &how)
		switch {
		case errors.Is(err, unix.EAGAIN) && tries < maxRaces, errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOTDIR):
			err = unix.ENOENT // what a path through a file names is not there
		}
		if err != nil {
			return -1, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return fd, nil
	}
}

func clean(name string) string {
	if name = strings.TrimLeft(path.Clean("/"+name), "/"); name != "" {
		return name
	}
	return "."
}

// ReadFile is the content of a regular file.
func (t *Tree) ReadFile(name string) ([]byte, error) {
	f, st, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st.Size > MaxFile {
		return nil, &fs.PathError{Op: "read", Path: name, Err: ErrTooLarge}
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(text) > MaxFile {
		err = ErrTooLarge
	}
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	return text, nil
}

// open opens a regular file or a directory; opening a device may do something.
func (t *Tree) open(name string) (*os.File, unix.Stat_t, error) {
	var st unix.Stat_t
	fd, err := t.find(name, 0)
	if err != nil {
		return nil, st, err
	}
	defer unix.Close(fd)
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, st, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return nil, st, &fs.PathError{Op: "open", Path: name, Err: errors.New("is not a regular file")}
	}
	again, err := unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, st, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(again), name), st, nil
}

// Info is what stands at a path.
type Info struct {
	Mode fs.FileMode
	Size int64
	UID  uint32
}

// Executable tells whether somebody may execute the file, as `test -x` by root does.
func (i Info) Executable() bool { return i.Mode.IsRegular() && i.Mode&0o111 != 0 }

// Stat tells what a path leads to.
func (t *Tree) Stat(name string) (Info, error) { return t.stat(name, 0) }

// Lstat tells what stands at a path, be it a symbolic link.
func (t *Tree) Lstat(name string) (Info, error) { return t.stat(name, unix.O_NOFOLLOW) }

func (t *Tree) stat(name string, flags uint64) (Info, error) {
	fd, err := t.find(name, flags)
	if err != nil {
		return Info{}, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return Info{}, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return Info{Mode: mode(st.Mode), Size: st.Size, UID: st.Uid}, nil
}

// mode is st_mode (inode(7)) in the words of io/fs.
func mode(m uint32) fs.FileMode {
	out := fs.FileMode(m & 0o777)
	switch m & unix.S_IFMT {
	case unix.S_IFDIR:
		out |= fs.ModeDir
	case unix.S_IFLNK:
		out |= fs.ModeSymlink
	case unix.S_IFIFO:
		out |= fs.ModeNamedPipe
	case unix.S_IFSOCK:
		out |= fs.ModeSocket
	case unix.S_IFCHR:
		out |= fs.ModeDevice | fs.ModeCharDevice
	case unix.S_IFBLK:
		out |= fs.ModeDevice
	}
	if m&unix.S_ISUID != 0 {
		out |= fs.ModeSetuid
	}
	if m&unix.S_ISGID != 0 {
		out |= fs.ModeSetgid
	}
	return out
}

// Exists tells whether a path leads to anything. What cannot be looked at is an error.
func (t *Tree) Exists(name string) (bool, error) {
	_, err := t.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// ReadDir are the names in a directory, sorted.
func (t *Tree) ReadDir(name string) ([]string, error) {
	f, _, err := t.open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	names, err := f.Readdirnames(-1)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.Unwrap(err)}
	}
	slices.Sort(names)
	return names, nil
}

// Readlink is the target that a symbolic link holds, as it is written.
func (t *Tree) Readlink(name string) (string, error) {
	fd, err := t.find(name, unix.O_NOFOLLOW)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(fd, "", buf)
	if err != nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), nil
}

// Resolve is the path without symbolic links that a path leads to. What it leads to
// need not exist: the rest of the path behind what is missing is taken as it is.
func (t *Tree) Resolve(name string) (string, error) {
	rest := strings.Split(strings.TrimLeft(path.Clean("/"+name), "/"), "/")
	at := "/"
	for links := 0; len(rest) > 0; {
		next := path.Join(at, rest[0])
		rest = rest[1:]
		st, err := t.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return path.Join(append([]string{next}, rest...)...), nil
		case err != nil:
			return "", err
		case st.Mode&fs.ModeSymlink == 0:
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", &fs.PathError{Op: "resolve", Path: name, Err: unix.ELOOP}
		}
		target, err := t.Readlink(next)
		if err != nil {
			return "", err
		}
		if path.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(strings.Trim(target, "/"), "/"), rest...)
	}
	return at, nil
}
