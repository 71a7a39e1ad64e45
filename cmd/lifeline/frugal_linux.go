package main

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
)

// Memory settings: the live heap is a few MB, and a backup server's memory
// belongs to its page cache.
const (
	gcPercent   = 50
	memoryLimit = 48 << 20
)

// timerSlack is how much later than asked for the kernel may wake us. Ten turns
// a second need no more precision, and the runtime's monitor, which asks for
// 20 us again and again while anything runs, would take a tenth of all that the
// daemon uses.
const timerSlack = time.Millisecond

// processors is how many threads run at once. Each more is one that is woken in
// vain whenever two things are to be done, and a worker of the garbage collector;
// with one alone, a call that the kernel keeps waiting would hold up the lease.
const processors = 2

// beFrugal sets the runtime up for a program that sleeps most of the time.
func beFrugal(log *slog.Logger) {
	debug.SetGCPercent(gcPercent)
	debug.SetMemoryLimit(memoryLimit)
	runtime.GOMAXPROCS(min(processors, runtime.NumCPU()))
	if err := slacken(timerSlack); err != nil {
		log.Debug("timers stay precise, which costs some CPU time", "error", err)
	}
}

// slacken sets the timer slack of all threads (timerslack_ns in proc(5)); later
// ones have that of the thread that makes them. Of others than the calling one
// it takes CAP_SYS_NICE; lifeline.service has it set from the start.
func slacken(slack time.Duration) error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	value := []byte(strconv.FormatInt(slack.Nanoseconds(), 10))
	var errs []error
	for _, t := range threads {
		err := os.WriteFile("/proc/"+t.Name()+"/timerslack_ns", value, 0)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("timer slack: %w", err))
		}
	}
	return errors.Join(errs...)
}
