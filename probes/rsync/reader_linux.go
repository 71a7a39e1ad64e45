package rsync

import (
	"errors"
	"slices"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// reader is the process whose view of the files a configuration is read by: its root
// directory, in its mount namespace, with its permissions.
type reader struct {
	id    watchdog.ProcID
	argv  []string
	who   credentials
	mount string // mount namespace
	root  string // root directory, of rooted
	// rooted is whose root directory counts: the reader's own, or that of the process
	// above it where root has left it for a module.
	rooted watchdog.ProcID
	// late: it does not see the configuration any more. What root read of it before
	// still holds, and nothing is read.
	late bool
}

// errNoReader says that nobody is known who could read the configuration.
var errNoReader = errors.New("in another root directory than the process above it")

// readerOf says who read the configuration of a daemon's child: the daemon above it,
// or itself, where something else accepted the connection.
func (f procFS) readerOf(p, parent *process) (reader, error) {
	by := p
	if parent != nil && parent.rsync() && parent.Cmd.Daemon && configName(parent) == configName(p) {
		by = parent
	}
	r, err := f.readerAs(by, by)
	if err != nil || by == parent || parent == nil {
		return r, err
	}
	above, err := f.readerAs(p, parent)
	if err != nil {
		return reader{}, err
	}
	if above.mount != r.mount || above.root == r.root {
		return r, nil // what lies in a container's own mount namespace is its own
	}
	// It has changed its root directory. Root did so to serve a module, as rsync(1)
	// does, or is who it is anyway. Where it has become somebody else by now, or
	// always was somebody in a jail, it reads nothing outside.
	mine, errMine := readlink(f.path(p.ID.PID, "ns/user"))
	theirs, errTheirs := readlink(f.path(parent.ID.PID, "ns/user"))
	if errMine != nil || errTheirs != nil || mine != theirs {
		return reader{}, errNoReader
	}
	if above.who.uid != 0 {
		above.who, above.late = credentials{}, true
	}
	return above, nil
}

// readerAs is a process with the root directory of one, which may be itself.
func (f procFS) readerAs(p, rooted *process) (reader, error) {
	who, errWho := f.credentials(p.ID.PID)
	mount, errMount := readlink(f.path(rooted.ID.PID, "ns/mnt"))
	root, errRoot := readlink(f.path(rooted.ID.PID, "root"))
	if who.uid == 0 {
		who = credentials{} // whatever its groups are
	}
	return reader{
		id: p.id(), argv: p.Argv, who: who, mount: mount, root: root, rooted: rooted.id(),
	}, errors.Join(errWho, errMount, errRoot)
}

// enter opens the root directory by which a request is to be read (O_PATH), if its
// reader still is who it was: a process may become another, and run what another
// user may, while it is looked at.
func (f procFS) enter(request configRequest) (root int, err error) {
	by := request.by
	if err := f.still(by); err != nil {
		return -1, err
	}
	root, err = unix.Open(f.path(by.rooted.PID, "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := f.still(by); err != nil {
		unix.Close(root)
		return -1, err
	}
	return root, nil
}

// still says whether a reader is unchanged.
func (f procFS) still(by reader) error {
	p, err := f.process(by.id.PID)
	if err != nil {
		return err
	}
	rooted := p
	if by.rooted != by.id {
		if rooted, err = f.process(by.rooted.PID); err != nil {
			return err
		}
	}
	now, err := f.readerAs(p, rooted)
	if err != nil {
		return err
	}
	same := p.rsync() && p.Cmd.Daemon && slices.Equal(now.argv, by.argv) && now.id == by.id && now.rooted == by.rooted &&
		now.who.String() == by.who.String() && now.mount == by.mount && now.root == by.root
	if !same {
		return errReused
	}
	return nil
}

func (t tree) close() { unix.Close(t.root) }
