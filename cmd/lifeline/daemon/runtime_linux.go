package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Memory settings: the live heap is a few MB, and a backup server's memory
// belongs to its page cache.
const (
	gcPercent   = 50
	memoryLimit = 48 << 20
)

// timerSlack is how much later than asked for the kernel may wake us. Ten cycles
// a second need no more precision, and the runtime's monitor, which asks for
// 20 us again and again while anything runs, would take a tenth of all that the
// daemon uses.
const timerSlack = time.Millisecond

// processors is how many threads run at once, set once for the life of the process.
// Each more is one that is woken in vain whenever two things are to be done, and a
// worker of the garbage collector: it costs CPU time on a host whose processors belong
// to its backups, and gains a loop that works for some ms nothing. A call that the kernel keeps waiting does not hold up the rest: the runtime's
// monitor takes the processor away from it; but see process.StartChild.
const processors = 1

// Nice is our nice value. New transfers must be limited within a few hundredths
// of a second beside the logins and rsyncs that start with them, and what we take is
// a few per cent. The guard inherits it, which it needs as much; no other child does.
const Nice = -15

// slice is how long one of our threads may run before another's turn, and so how
// soon it has its own: since Linux 6.12 one that asks for less than who runs at its
// wake-up is let in at once, where it waits for the end of that one's slice of some
// ms else (sched_setattr(2), sched_runtime of an ordinary thread).
const slice = 100 * time.Microsecond

// beFrugal sets the runtime up for a program that sleeps most of the time.
func beFrugal(log *slog.Logger) {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	runtime.GOMAXPROCS(processors)
	if err := slacken(timerSlack); err != nil {
		log.Debug("timers stay precise, which costs some CPU time", "error", err)
	}
	if err := hurry(Nice); err != nil {
		log.Info("no priority over other processes: on a busy host new transfers are limited later", "error", err)
	}
}

// hurry sets the nice value of all threads (setpriority(2)). It takes CAP_SYS_NICE;
// lifeline.service has it set from the start.
func hurry(nice int) error {
	return eachThread(func(tid int) error {
		if err := unix.Setpriority(unix.PRIO_PROCESS, tid, nice); err != nil {
			return fmt.Errorf("nice value: %w", err)
		}
		shorten(tid, nice)
		return nil
	})
}

// shorten asks for short slices, unless the thread has a policy of the operator's
// choice. Where that is denied or unknown we have what every thread has.
func shorten(tid, nice int) {
	now, err := unix.SchedGetAttr(tid, 0)
	if err != nil || now.Policy != unix.SCHED_NORMAL {
		return
	}
	_ = unix.SchedSetAttr(tid, &unix.SchedAttr{
		Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: int32(nice), Runtime: uint64(slice),
	}, 0)
}

// slacken sets the timer slack of all threads (timerslack_ns in proc(5)). Of others
// than the calling one it takes CAP_SYS_NICE; lifeline.service has it set from the
// start.
func slacken(slack time.Duration) error {
	value := []byte(strconv.FormatInt(slack.Nanoseconds(), 10))
	return eachThread(func(tid int) error {
		if err := os.WriteFile("/proc/"+strconv.Itoa(tid)+"/timerslack_ns", value, 0); err != nil {
			return fmt.Errorf("timer slack: %w", err)
		}
		return nil
	})
}

// eachThread calls set for every thread, also for those that come meanwhile: later
// ones inherit what was set of the thread that makes them. It gives the first error
// of a thread that is still there.
func eachThread(set func(tid int) error) error {
	var first error
	done := map[int]bool{}
	for again := true; again; {
		again = false
		threads, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		for _, t := range threads {
			tid, err := strconv.Atoi(t.Name())
			if err != nil {
				return err
			}
			if done[tid] {
				continue
			}
			done[tid], again = true, true
			err = set(tid)
			if first == nil && err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, fs.ErrNotExist) {
				first = err
			}
		}
	}
	return first
}
