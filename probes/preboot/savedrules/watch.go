package savedrules

import (
	"maps"
	"path/filepath"
	"slices"
)

// Watch names what on disk the answer about this machine rests on, so that a
// change of it can be noticed. It is a value; whoever watches asks for a new
// one now and then, because directories and links come and go.
type Watch struct{ names, trees map[string]bool }

// savedTrees are directories of which every file counts.
var savedTrees = []string{"/etc/iptables", "/etc/ssh/sshd_config.d", "/etc/nftables", "/etc/nftables.d"}

// WatchFor is the watch over everything that the boot of the usual systems
// loads, whether it is there already or not, and over the files of an answer,
// by their paths.
func WatchFor(files ...string) Watch {
	w := Watch{map[string]bool{"/etc/ssh/sshd_config": true}, map[string]bool{}}
	for _, d := range savedTrees {
		w.trees[d] = true
	}
	for _, u := range usualFiles {
		w.name(u.paths...)
	}
	w.name(nftFiles...)
	w.name(nftUnits...)
	for _, f := range files {
		w.name(f)
		// Where the saved file is a link, the change comes to what it leads to.
		if real, err := filepath.EvalSymlinks(f); err == nil {
			w.name(real)
		}
	}
	return w
}

func (w Watch) name(paths ...string) {
	for _, p := range paths {
		if filepath.IsAbs(p) {
			w.names[filepath.Clean(p)] = true
		}
	}
}

// Dirs are the directories to watch, sorted: those that hold the files, and
// all above them but the root, in which a missing one may appear.
func (w Watch) Dirs() []string {
	return slices.Sorted(maps.Keys(w.dirs()))
}

func (w Watch) dirs() map[string]bool {
	out := map[string]bool{}
	for p := range w.names {
		above(filepath.Dir(p), out)
	}
	for d := range w.trees {
		above(d, out)
	}
	return out
}

// above adds a directory and its parents.
func above(dir string, to map[string]bool) {
	for ; dir != "/" && dir != "."; dir = filepath.Dir(dir) {
		to[dir] = true
	}
}

// Concerns reports whether a change of a path may change the answer.
func (w Watch) Concerns(path string) bool {
	path = filepath.Clean(path)
	return w.names[path] || w.trees[filepath.Dir(path)] || w.dirs()[path]
}
