package sysctl

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"lifeline/remediate/process"
	"lifeline/remediate/remedy"
	"lifeline/watchdog"
	"lifeline/watchdog/ledger"
)

// ipv4Settings are those of the network namespace of the thread that opens one.
const ipv4Settings = "/proc/sys/net/ipv4"

// TSOBursts is net.ipv4.tcp_tso_rtt_log, which came with Linux 5.18.
const TSOBursts = File(ipv4Settings + "/tcp_tso_rtt_log")

// File is the file of a setting of this network namespace.
type File string

func (s File) Read() (int, error) {
	b, err := os.ReadFile(string(s))
	if err != nil {
		return 0, err
	}
	v, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s, err)
	}
	return v, nil
}

func (s File) Write(v int) error {
	f, err := os.OpenFile(string(s), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.Itoa(v))
	return errors.Join(err, f.Close())
}

// Capability says whether the kernel's bursts are small or can be made so. Opening the
// setting to write tells it and changes nothing. Where unguarded gives a reason, nobody
// would undo it.
func Capability(unguarded error) watchdog.Capability {
	return remedy.Capability(remedy.SmallBursts, cmp.Or(unguarded, TSOBursts.checkWritable()))
}

// checkWritable says why the setting cannot be written, with the likely cause.
func (s File) checkWritable() error {
	f, err := os.OpenFile(string(s), os.O_WRONLY, 0)
	switch {
	case err == nil:
		return f.Close()
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: a container, or ProtectKernelTunables= of the unit", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: not root, or a security module", err)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := os.Stat(filepath.Dir(string(s))); err != nil {
		return fmt.Errorf("is /proc/sys mounted? %w", err)
	}
	return nil // a kernel without the setting makes no such bursts
}

// Restore undoes a ledger entry. The setting is that of this network
// namespace, so it has to be the one of the entry.
func Restore(e ledger.Entry) error {
	here, err := process.NetnsInode()
	if err != nil {
		return err
	}
	if here != e.Netns {
		return fmt.Errorf("made in network namespace %d, this is %d: run it there", e.Netns, here)
	}
	return restoreValue(TSOBursts, e)
}
