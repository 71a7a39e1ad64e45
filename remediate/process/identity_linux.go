package process

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// Self is the identity under which this process writes a ledger.
func Self() (ledger.Identity, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	boot := strings.TrimSpace(string(b))
	if boot == "" {
		return ledger.Identity{}, errors.Join(errors.New("read boot id: is /proc mounted?"), err)
	}
	netns, err := NetnsInode()
	if err != nil {
		return ledger.Identity{}, err
	}
	st, err := ReadStat(os.Getpid())
	if err != nil {
		return ledger.Identity{}, err
	}
	return ledger.Identity{
		Boot:   boot,
		Netns:  netns,
		Daemon: watchdog.ProcID{PID: os.Getpid(), Start: st.Start},
	}, nil
}

// NetnsInode names this process's network namespace.
func NetnsInode() (uint64, error) {
	var ns unix.Stat_t
	// Not /proc/self: that is the main thread, and one that was lent out to
	// another namespace may be parked there.
	if err := unix.Stat("/proc/thread-self/ns/net", &ns); err != nil {
		return 0, fmt.Errorf("network namespace: %w", err)
	}
	return ns.Ino, nil
}
