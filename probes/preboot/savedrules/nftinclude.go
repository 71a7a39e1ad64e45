package savedrules

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"lifeline/probes/iptables/lex"
)

const (
	// maxIncludeDepth is nft's own (MAX_INCLUDE_DEPTH in nftables.h).
	maxIncludeDepth = 16
	maxIncludes     = 256
)

// Include is a file that an nft file includes.
type Include struct {
	// Path is the one that nft asks for.
	Path string
	Text []byte
	// Times is how often it is included.
	Times int
}

// includer collects what nft files include, from inside one directory only.
type includer struct {
	root *os.Root // for patterns
	dir  Folder
	// found is by the path that nft will ask for, times is how often it does.
	found map[string][]byte
	times map[string]int
	// loads counts all that is included, each as often as it is; open are those
	// that are being followed.
	loads *int
	open  map[string]bool
}

// collectIncludes reads all files that an nft file includes, and what those
// include, below dir. The tools see them under the paths that they ask for.
func collectIncludes(dir Folder, text []byte) ([]Include, error) {
	if len(lex.NFTIncludes(text)) == 0 {
		return nil, nil
	}
	root, err := os.OpenRoot(string(dir))
	if err != nil {
		return nil, err
	}
	defer root.Close()
	in := includer{root, dir, map[string][]byte{}, map[string]int{}, new(int), map[string]bool{}}
	if err := in.follow(text, 0); err != nil {
		return nil, err
	}
	var out []Include
	for _, p := range slices.Sorted(maps.Keys(in.found)) {
		out = append(out, Include{Path: p, Text: in.found[p], Times: in.times[p]})
	}
	return out, nil
}

func (in includer) follow(text []byte, depth int) error {
	if depth >= maxIncludeDepth {
		return fmt.Errorf("includes are nested more than %d deep", maxIncludeDepth)
	}
	for _, p := range lex.NFTIncludes(text) {
		asked := p
		if !path.IsAbs(p) && !strings.HasPrefix(p, "./") {
			asked = "/etc/" + p // nft's only default include path
		}
		asked = path.Clean("/" + asked)
		inside := in.inside(asked)
		matches := []string{inside}
		glob := strings.ContainsAny(p, "*?[")
		if glob {
			var err error
			if matches, err = fs.Glob(in.root.FS(), inside); err != nil {
				return fmt.Errorf("include %q: %w", p, err)
			}
		}
		for _, m := range matches {
			at := asked
			if glob {
				at = path.Join(path.Dir(asked), path.Base(m))
			}
			if err := in.add(m, at, depth); err != nil {
				return fmt.Errorf("include %q: %w", p, err)
			}
		}
	}
	return nil
}

// inside turns the path that nft asks for into one below the root; a path
// that already names the root is meant literally.
func (in includer) inside(asked string) string {
	if rel, err := filepath.Rel(string(in.dir), asked); err == nil && filepath.IsLocal(rel) && in.dir != Everywhere {
		return rel
	}
	return strings.TrimPrefix(asked, "/")
}

// add takes one file in, as often as it is included: a file that is included
// again is loaded again, with all that it includes.
func (in includer) add(inside, at string, depth int) error {
	if *in.loads++; *in.loads > maxIncludes {
		return fmt.Errorf("more than %d files are included", maxIncludes)
	}
	in.times[at]++
	if in.open[at] {
		return nil // nft gives up on such a file
	}
	in.open[at] = true
	defer delete(in.open, at)
	if text, have := in.found[at]; have {
		return in.follow(text, depth+1)
	}
	f, err := in.dir.open(filepath.Join(string(in.dir), inside))
	if err != nil {
		return fmt.Errorf("%s is not inside %s: %w", at, in.dir, err)
	}
	defer f.Close()
	text, err := readBounded(f)
	if err != nil {
		return err
	}
	in.found[at] = text
	return in.follow(text, depth+1)
}
