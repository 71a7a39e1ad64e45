package proc

import (
	"errors"
	"fmt"
	"strconv"
)

// firstFDAt is where descriptor 0 stands in /proc/PID/fd, after "." and ".."; each
// other one stands at its number behind that (proc_readfd_common in fs/proc/fd.c).
const firstFDAt = 2

// FDsFrom lists what a process holds open, from a descriptor on, and at most that many:
// next is the first that it did not come to, 0 at the end. With an error, the list may
// lack some: the kernel may give the numbers and refuse what they mean.
func (f FS) FDsFrom(pid, from, most int) (fds []FD, next int, err error) {
	at := int64(0)
	if from > 0 {
		at = firstFDAt + int64(from)
	}
	var refused error
	looked := 0
	err = listDirFrom(f.Path(pid, "fd"), at, func(dir int, name string) bool {
		num, err := strconv.Atoi(name)
		if err != nil {
			return true
		}
		if looked++; looked > most {
			next = num
			return false
		}
		target, err := Readlinkat(dir, name)
		switch {
		case err == nil:
			fds = append(fds, parseFD(num, target))
		case !Vanished(err): // else closed meanwhile
			refused = fmt.Errorf("descriptors of pid %d: %w", pid, err)
		}
		return true
	})
	return fds, next, errors.Join(err, refused)
}

// Fd reads one entry of /proc/PID/fd.
func (f FS) Fd(pid, num int) (FD, error) {
	target, err := Readlink(f.Path(pid, "fd/"+strconv.Itoa(num)))
	return parseFD(num, target), err
}
