package remediate

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// Self is the identity under which this process writes a ledger.
func Self() (ledger.Identity, error) {
	boot := firstLine("/proc/sys/kernel/random/boot_id")
	if boot == "" {
		return ledger.Identity{}, errors.New("read boot id: is /proc mounted?")
	}
	netns, err := netnsInode()
	if err != nil {
		return ledger.Identity{}, err
	}
	st, err := readStat(os.Getpid())
	if err != nil {
		return ledger.Identity{}, err
	}
	return ledger.Identity{
		Boot:   boot,
		Netns:  netns,
		Daemon: watchdog.ProcID{PID: os.Getpid(), Start: st.start},
	}, nil
}

// netnsInode names this process's network namespace.
func netnsInode() (uint64, error) {
	var ns unix.Stat_t
	// Not /proc/self: that is the main thread, and one that was lent out to
	// another namespace may be parked there.
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return 0, fmt.Errorf("network namespace: %w", err)
	}
	return ns.Ino, nil
}
