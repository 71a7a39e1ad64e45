package rsyncd

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"lifeline/probes/rsync/proc"
	"lifeline/watchdog"
)

// reader is the process whose view of the files a configuration is read by: its root
// directory, in its mount namespace, with its permissions.
type reader struct {
	id          watchdog.ProcID
	argv        []string
	credentials credentials
	mount       string // mount namespace
	root        string // root directory, of rooted
	// rooted is whose root directory counts: the reader's own, or that of the process
	// above it where root has left it for a module.
	rooted watchdog.ProcID
	// tooLate: it does not see the configuration any more. What root read of it before
	// still holds, and nothing is read.
	tooLate bool
}

// errNoReader says that nobody is known who could read the configuration.
var errNoReader = errors.New("in another root directory than the process above it")

// readerOf says who read the configuration of a daemon's child: the daemon above it,
// or itself, where something else accepted the connection.
func (c *Cache) readerOf(p, parent *proc.Process) (reader, error) {
	by := p
	if parent != nil && parent.IsRsync() && parent.Cmd.Daemon && configName(parent) == configName(p) {
		by = parent
	}
	r, err := c.readerAs(by, by)
	if err != nil || by == parent || parent == nil {
		return r, err
	}
	above, err := c.readerAs(p, parent)
	if err != nil {
		return reader{}, err
	}
	if above.mount != r.mount || above.root == r.root {
		return r, nil // what lies in a container's own mount namespace is its own
	}
	// It has changed its root directory. Root did so to serve a module, as rsync(1)
	// does, or is who it is anyway. Where it has become somebody else by now, or
	// always was somebody in a jail, it reads nothing outside.
	mine, errMine := proc.Readlink(c.proc.Path(p.ID.PID, "ns/user"))
	theirs, errTheirs := proc.Readlink(c.proc.Path(parent.ID.PID, "ns/user"))
	if errMine != nil || errTheirs != nil || mine != theirs {
		return reader{}, errNoReader
	}
	if above.credentials.uid != 0 {
		above.credentials, above.tooLate = credentials{}, true
	}
	return above, nil
}

// readerAs is a process with the root directory of one, which may be itself.
func (c *Cache) readerAs(p, rooted *proc.Process) (reader, error) {
	who, errWho := readCredentials(c.proc, p.ID.PID)
	mount, errMount := proc.Readlink(c.proc.Path(rooted.ID.PID, "ns/mnt"))
	root, errRoot := proc.Readlink(c.proc.Path(rooted.ID.PID, "root"))
	if who.uid == 0 {
		who = credentials{} // whatever its groups are
	}
	return reader{
		id: p.ID, argv: p.Argv, credentials: who, mount: mount, root: root, rooted: rooted.ID,
	}, errors.Join(errWho, errMount, errRoot)
}

// openRoot opens the root directory by which a request is to be read (O_PATH), if its
// reader still is who it was: a process may become another, and run what another
// user may, while it is looked at.
func (c *Cache) openRoot(request configRequest) (root int, err error) {
	by := request.by
	if err := c.unchanged(by); err != nil {
		return -1, err
	}
	root, err = unix.Open(c.proc.Path(by.rooted.PID, "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := c.unchanged(by); err != nil {
		unix.Close(root)
		return -1, err
	}
	return root, nil
}

// unchanged says whether a reader is unchanged.
func (c *Cache) unchanged(by reader) error {
	p, err := c.proc.Process(by.id.PID)
	if err != nil {
		return err
	}
	rooted := p
	if by.rooted != by.id {
		if rooted, err = c.proc.Process(by.rooted.PID); err != nil {
			return err
		}
	}
	now, err := c.readerAs(p, rooted)
	if err != nil {
		return err
	}
	same := p.IsRsync() && p.Cmd.Daemon && slices.Equal(now.argv, by.argv) && now.id == by.id && now.rooted == by.rooted &&
		now.credentials.key() == by.credentials.key() && now.mount == by.mount && now.root == by.root
	if !same {
		return proc.ErrPIDReused
	}
	return nil
}

func (t userTree) close() { unix.Close(t.root) }
