package rsync

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"time"
)

// configs keeps the configurations of the daemons that were met.
type configs struct {
	proc  procFS
	known map[string]*readConfig
}

// readConfig is a configuration with the files that it came from.
type readConfig struct {
	config  daemonConfig
	err     error
	files   map[string]time.Time // by modification time
	checked time.Time
}

// recheckConfig is how often the files are looked at for a change. The daemon
// itself reads them anew for every connection.
const recheckConfig = time.Second

func newConfigs(proc procFS) *configs {
	return &configs{proc: proc, known: map[string]*readConfig{}}
}

// of gives the configuration of a daemon's child.
func (c *configs) of(p *process) (daemonConfig, error) {
	name := p.Cmd.Config
	if name == "" {
		name = "/etc/rsyncd.conf"
	}
	if !filepath.IsAbs(name) {
		return daemonConfig{}, errors.New("relative name of the configuration")
	}
	// The parent is not in the module's chroot, but it is in the same
	// container. What it sees as / is not always what we do.
	root := c.proc.path(p.PPID, "root")
	target, err := os.Readlink(root)
	if err != nil {
		return daemonConfig{}, err
	}
	ns, _ := os.Readlink(c.proc.path(p.PPID, "ns/mnt"))
	key := ns + "\x00" + target + "\x00" + name
	r := c.known[key]
	if r == nil || !r.current() {
		r = readDaemonConfig(root, name)
		r.config.override(p.Cmd.Params)
		c.known[key] = r
	}
	return r.config, r.err
}

// current says whether no file of it has changed.
func (r *readConfig) current() bool {
	if time.Since(r.checked) < recheckConfig {
		return true
	}
	for name, modified := range r.files {
		st, err := os.Stat(name)
		if err != nil || !st.ModTime().Equal(modified) {
			return false
		}
	}
	r.checked = time.Now()
	return r.err == nil
}

// readDaemonConfig reads a configuration below the root directory of a
// process.
func readDaemonConfig(root, name string) *readConfig {
	r := &readConfig{files: map[string]time.Time{}, checked: time.Now()}
	read := func(name string) ([]byte, error) {
		file, err := os.Open(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		defer file.Close()
		if st, err := file.Stat(); err == nil {
			r.files[file.Name()] = st.ModTime()
		}
		return io.ReadAll(io.LimitReader(file, maxConfig))
	}
	list := func(dir string) ([]string, error) {
		d, err := os.Open(filepath.Join(root, dir))
		if err != nil {
			return nil, err
		}
		defer d.Close()
		return d.Readdirnames(-1)
	}
	r.config, r.err = parseConfig(name, read, list)
	return r
}

// maxConfig bounds what is read of one file.
const maxConfig = 4 << 20
