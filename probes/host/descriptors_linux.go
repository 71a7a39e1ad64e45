package host

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// freeDescriptors counts by trying, as numbers may be free below used ones. The
// soft limit is the hard one: Go's runtime raises it at the start, and gives
// children what there was before (os.init, syscall.forkExec).
func freeDescriptors(most int) (free int, limit uint64, err error) {
	var r unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &r); err != nil {
		return 0, 0, fmt.Errorf("getrlimit: %w", err)
	}
	taken := make([]int, 0, most)
	for len(taken) < most && err == nil {
		var fd int
		if fd, err = unix.FcntlInt(0, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			taken = append(taken, fd)
		}
	}
	for _, fd := range taken {
		unix.Close(fd)
	}
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.EINVAL) { // EINVAL: a limit of 0
		err = nil
	}
	return len(taken), r.Cur, err
}
