package rsync

import (
	"errors"
	"fmt"
	"strconv"
)

// firstFDAt is where descriptor 0 stands in /proc/PID/fd, after "." and ".."; each
// other one stands at its number behind that (proc_readfd_common in fs/proc/fd.c).
const firstFDAt = 2

// fdsFrom lists what a process holds open, from a descriptor on, and at most that many:
// next is the first that it did not come to, 0 at the end. With an error, the list may
// lack some: the kernel may give the numbers and refuse what they mean.
func (f procFS) fdsFrom(pid, from, most int) (fds []fd, next int, err error) {
	at := int64(0)
	if from > 0 {
		at = firstFDAt + int64(from)
	}
	var refused error
	looked := 0
	err = namesFrom(f.path(pid, "fd"), at, func(dir int, name string) bool {
		num, err := strconv.Atoi(name)
		if err != nil {
			return true
		}
		if looked++; looked > most {
			next = num
			return false
		}
		target, err := readlinkat(dir, name)
		switch {
		case err == nil:
			fds = append(fds, parseFD(num, target))
		case !vanished(err): // else closed meanwhile
			refused = fmt.Errorf("descriptors of pid %d: %w", pid, err)
		}
		return true
	})
	return fds, next, errors.Join(err, refused)
}
