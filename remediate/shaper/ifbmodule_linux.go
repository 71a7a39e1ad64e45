package shaper

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"lifeline/remediate/process"
)

// modules is what has to be known of the kernel's modules before a link of kind
// ifb is made. Were the kernel to load that module by itself, it would make ifb0
// and ifb1 in the host's own network namespace, whichever one had asked
// (numifbs in drivers/net/ifb.c), and nobody could tell them from an operator's.
type modules interface {
	// read gives a file of the system.
	read(path string) ([]byte, error)
	// hasIFB tells whether a link of that kind is there.
	hasIFB() bool
	// load runs modprobe(8).
	load(args ...string) error
}

// loadIFBModule sees to it that a link of kind ifb can be made and no other comes with
// it. It may take a while.
func loadIFBModule(m modules) error {
	if err := checkIFBModule(m); err == nil {
		return nil
	}
	if err := m.load("ifb", "numifbs=0"); err != nil {
		return fmt.Errorf("%w: %w", errNoIFB, err)
	}
	return nil
}

var errNoIFB = errors.New("module ifb is not loaded, and left to itself the kernel would make links with it: `modprobe ifb numifbs=0`")

// checkIFBModule is nil when making a link of kind ifb loads nothing.
func checkIFBModule(m modules) error {
	loaded, err := m.read("/proc/modules")
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a kernel without modules: nothing can come with it
	}
	if err == nil && hasLine(string(loaded), "ifb ") || m.hasIFB() || builtIn(m) {
		return nil
	}
	return errNoIFB
}

// hasLine tells whether some line of text begins with prefix.
func hasLine(text, prefix string) bool {
	return strings.HasPrefix(text, prefix) || strings.Contains(text, "\n"+prefix)
}

// builtIn tells whether the running kernel holds ifb (modules.builtin of kbuild).
func builtIn(m modules) bool {
	release, err := m.read("/proc/sys/kernel/osrelease")
	if err != nil {
		return false // unknown; then it is loaded, which does no harm
	}
	list, err := m.read("/lib/modules/" + strings.TrimSpace(string(release)) + "/modules.builtin")
	return err == nil && strings.Contains(string(list), "/ifb.ko\n")
}

// hostModules is this host.
type hostModules struct{}

func (hostModules) read(path string) ([]byte, error) { return os.ReadFile(path) }

func (hostModules) hasIFB() bool {
	links, err := netlink.LinkList()
	for _, l := range links {
		if err == nil && l.Type() == "ifb" {
			return true
		}
	}
	return false
}

// modprobeTime is far more than loading takes.
const modprobeTime = 5 * time.Second

func (hostModules) load(args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), modprobeTime)
	defer cancel()
	path, err := exec.LookPath("modprobe")
	if err != nil {
		path = "/sbin/modprobe" // where PATH is that of no administrator
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = []string{"LC_ALL=C"}
	return process.RunAtDefaultPriority(cmd)
}
