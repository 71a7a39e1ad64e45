package boot

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"lifeline/probes/boot/firewall"
	"lifeline/probes/boot/remark"
	"lifeline/probes/boot/rootfs"
)

// moduleDirs are where modules of kernels lie.
var moduleDirs = []string{"/usr/lib/modules", "/lib/modules"}

// usesModule matches the matches and targets of a rule.
var usesModule = regexp.MustCompile(`(?m)(?:^|[ \t])(?:-m|--match|-j|--jump|-g|--goto)[ \t]+"?([A-Za-z0-9_]+)`)

// modules tells of matches and targets that a kernel of the tree has as a module, and the
// newest one, which boot loaders take by default, has not.
func modules(t *rootfs.Tree, p *firewall.Plan) remark.List {
	kernels := kernelsOf(t)
	if len(kernels) < 2 {
		return nil
	}
	newest := kernels[len(kernels)-1]
	there := modulesOf(t, newest)
	if len(there) == 0 {
		return nil
	}
	before := map[string]string{}
	for _, k := range kernels[:len(kernels)-1] {
		for m := range modulesOf(t, k) {
			before[m] = k
		}
	}
	var out remark.List
	for _, l := range p.Loads {
		for _, part := range l.Parts {
			for _, name := range used(part.Text) {
				if has(there, name) || !hasString(before, name) {
					continue
				}
				out.Add(remark.Missed, "module-missing-next-kernel",
					fmt.Sprintf("%s uses %s, which kernel %s has no module for: where the boot takes that kernel, the file does not load", part.File, name, newest),
					part.File, "xt_"+name, newest)
			}
		}
	}
	return out
}

// used are the names of matches and targets of a text, each once.
func used(text []byte) []string {
	found := map[string]bool{}
	for _, m := range usesModule.FindAllSubmatch(text, -1) {
		found[string(m[1])] = true
	}
	return slices.Sorted(maps.Keys(found))
}

func candidates(name string) []string {
	return []string{"xt_" + name, "ipt_" + name, "ip6t_" + name}
}

func has(modules map[string]bool, name string) bool {
	return slices.ContainsFunc(candidates(name), func(c string) bool { return modules[c] })
}

func hasString(modules map[string]string, name string) bool {
	return slices.ContainsFunc(candidates(name), func(c string) bool { return modules[c] != "" })
}

// kernelsOf are the kernels that have an image in /boot, or modules where there are no
// images, the oldest first.
func kernelsOf(t *rootfs.Tree) []string {
	var out []string
	names, _ := t.ReadDir("/boot") // without one there are no images
	for _, n := range names {
		if v, ok := strings.CutPrefix(n, "vmlinuz-"); ok && !strings.Contains(n, "rescue") {
			out = append(out, v)
		}
	}
	slices.SortFunc(out, compareVersions)
	return out
}

// modulesOf are the modules of a kernel, also those that are part of its image.
func modulesOf(t *rootfs.Tree, kernel string) map[string]bool {
	out := map[string]bool{}
	for _, dir := range moduleDirs {
		for _, list := range []string{"modules.dep", "modules.builtin"} {
			text, err := t.ReadFile(path.Join(dir, kernel, list))
			if err != nil {
				continue
			}
			for line := range bytes.Lines(text) {
				file, _, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
				name, _, _ := strings.Cut(path.Base(file), ".")
				out[strings.ReplaceAll(name, "-", "_")] = true
			}
		}
	}
	return out
}

// compareVersions orders versions by their numbers, part by part.
func compareVersions(a, b string) int {
	split := func(r rune) bool { return r == '.' || r == '-' || r == '_' || r == '+' || r == '~' }
	x, y := strings.FieldsFunc(a, split), strings.FieldsFunc(b, split)
	for i := range min(len(x), len(y)) {
		m, errM := strconv.Atoi(x[i])
		n, errN := strconv.Atoi(y[i])
		c := cmp.Compare(m, n)
		if errM != nil || errN != nil {
			c = strings.Compare(x[i], y[i])
		}
		if c != 0 {
			return c
		}
	}
	return cmp.Compare(len(x), len(y))
}
