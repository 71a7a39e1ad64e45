package lab

import (
	"context"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// runFirst gives the calling goroutine a thread of its own that runs before
// every ordinary process (SCHED_FIFO in sched(7)), or, where that is refused,
// before most (a nice value of -20): a request then leaves at the moment that is
// noted as its sending, however busy this machine is. The thread ends with the
// goroutine.
func runFirst() {
	runtime.LockOSThread() // never unlocked: nobody else is to get such a thread
	err := unix.SchedSetAttr(0, &unix.SchedAttr{
		Size:     unix.SizeofSchedAttr,
		Policy:   unix.SCHED_FIFO,
		Priority: 1,
		Flags:    unix.SCHED_FLAG_RESET_ON_FORK,
	}, 0)
	if err != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, -20) // as good as it gets here
	}
}

// restUntil sleeps in the calling thread, which the Go runtime's timers would
// leave to wait for one of its ordinary threads. It is false when ctx ended.
func restUntil(ctx context.Context, at time.Time) bool {
	const slice = 50 * time.Millisecond // looks at ctx so often
	for ctx.Err() == nil {
		left := time.Until(at)
		if left <= 0 {
			return true
		}
		ts := unix.NsecToTimespec(int64(min(left, slice)))
		_ = unix.Nanosleep(&ts, nil) // a signal ends it early: what is left is slept next
	}
	return false
}
