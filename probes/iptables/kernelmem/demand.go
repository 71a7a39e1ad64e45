package kernelmem

import (
	"fmt"
	"math/bits"
	"strings"

	"lifeline/probes/iptables/lex"
)

// Demand sums up the kernel memory that files ask for when they are loaded, in
// one pass over each and before anything loads them. The sum is an upper estimate
// for the kernels of today: a file that stays below a bound does so in the kernel.
// It does not depend on whether the files can be parsed. The sizes were measured
// on Linux 6.18; memory cgroups see only a part of it (the tables of hashlimit,
// the elements of an ipset and per-CPU counters are charged to nobody).
type Demand struct {
	// CPUs is the number of processors: each rule has a counter for each.
	CPUs int

	total uint64
	kinds map[string]*kindTotal
	order []string // of kinds, as they came
	hash  map[string]uint64
	sets  map[string]*setDemand
	defs  map[string]uint64
	// file and line are where the reader is.
	file string
	line int
}

// kindTotal is the sum of one kind of request.
type kindTotal struct {
	bytes, most uint64
	n           int
	// where and what tell of the largest.
	where, what string
}

// Bytes of kernel memory for one of each.
const (
	ruleBytes      = 512
	matchBytes     = 128 // of a match, whatever it is
	chainBytes     = 512
	counterBytes   = 16        // of one rule on one processor
	bucketBytes    = 8         // of a hash table
	hashlimitBytes = 128 << 10 // without --hashlimit-htable-size
)

// heavy are matches with memory of their own beyond matchBytes.
var heavy = map[string]uint64{
	"bpf": 12 << 10, "connlimit": 4 << 10, "recent": 8 << 10, "string": 2 << 10, "u32": 5 << 9, "policy": 512, "rateest": 1 << 10,
}

// Total is the sum in bytes.
func (d *Demand) Total() uint64 { return d.total }

// Most describes what asks for the most: the file and line of the largest request
// of its kind, and what all of the kind ask for.
func (d *Demand) Most() string {
	var w *kindTotal
	kind := ""
	for _, k := range d.order {
		if w == nil || d.kinds[k].bytes > w.bytes {
			w, kind = d.kinds[k], k
		}
	}
	switch {
	case w == nil:
		return "nothing"
	case w.n == 1:
		return fmt.Sprintf("%s: %s asks for %s", w.where, w.what, Size(w.bytes))
	}
	return fmt.Sprintf("%s: %s asks for %s, and %d x %s for %s", w.where, w.what, Size(w.most), w.n, kind, Size(w.bytes))
}

// Size writes a number of bytes for people, as 8.0 MB.
func Size(n uint64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%.1f kB", float64(n)/(1<<10))
}

// request adds a request for bytes of memory.
func (d *Demand) request(kind string, n uint64, what string) {
	if d.kinds == nil {
		d.kinds = map[string]*kindTotal{}
	}
	w := d.kinds[kind]
	if w == nil {
		w = &kindTotal{}
		d.kinds[kind] = w
		d.order = append(d.order, kind)
	}
	d.total, w.bytes, w.n = plus(d.total, n), plus(w.bytes, n), w.n+1
	if n > w.most {
		w.most, w.where, w.what = n, fmt.Sprintf("%s:%d", d.file, d.line), lex.Clip(what, 80)
	}
}

// plus and times stop at the largest number.
func plus(a, b uint64) uint64 {
	if s, carry := bits.Add64(a, b, 0); carry == 0 {
		return s
	}
	return 1<<64 - 1
}

func times(a, b uint64) uint64 {
	if hi, lo := bits.Mul64(a, b); hi == 0 {
		return lo
	}
	return 1<<64 - 1
}

// table is the size of a hash table with room for n buckets.
func table(n uint64) uint64 {
	if n > 1<<40 {
		return 1<<64 - 1
	}
	return bucketBytes << bits.Len64(max(n, 1)-1)
}

// each is what every rule takes.
func (d *Demand) each(n uint64) uint64 { return n + counterBytes*uint64(max(d.CPUs, 1)) }

// Rules adds a file of iptables, ip6tables or arptables.
func (d *Demand) Rules(name string, text []byte) {
	d.file = name
	var args []lex.Word
	for r := (lex.LineReader{Rest: string(text)}); ; {
		s, ok := r.Next()
		if !ok {
			return
		}
		d.line = r.Line
		switch {
		case s == "" || s == "\n" || s[0] == '#' || s[0] == '*' || strings.HasPrefix(s, "COMMIT"):
			continue
		case s[0] == ':':
			d.request("chain", d.each(chainBytes), strings.TrimSpace(s))
			continue
		}
		if rest, err := lex.CutCounters(s); err == nil {
			s = rest
		}
		args, _ = lex.SplitWords(args[:0], s, 1) // up to where the tool would stop
		d.rule(s, args)
	}
}

// rule adds one line with a command.
func (d *Demand) rule(s string, args []lex.Word) {
	n := d.each(ruleBytes)
	var h *hashDemand
	var hashes []*hashDemand
	srcs, dsts := uint64(1), uint64(1)
	for i, w := range args {
		next := ""
		if i+1 < len(args) {
			next = args[i+1].Text
		}
		ext := matchName(w.Text)
		if ext == "hashlimit" {
			h = &hashDemand{}
			hashes = append(hashes, h)
		}
		if ext != "" {
			n = plus(n, heavy[ext])
		}
		if isMatch(w.Text) {
			n += matchBytes
		}
		if v, ok := longValue(w.Text, next, "--hashlimit-htable-s", "--hashlimit-htable-size"); ok {
			if h == nil || h.sized {
				h = &hashDemand{}
				hashes = append(hashes, h)
			}
			h.size, _ = lex.Number(v, 0, 1<<63)
			h.sized, h.what = true, "--hashlimit-htable-size "+v
		}
		if v, ok := longValue(w.Text, next, "--hashlimit-n", "--hashlimit-name"); ok && h != nil {
			h.name = v
		}
		srcs, dsts = max(srcs, addressesIn(w.Text, next, 's', "--source", "--src")), max(dsts, addressesIn(w.Text, next, 'd', "--destination", "--dst"))
	}
	d.request("rule", times(n, times(srcs, dsts)), strings.TrimSpace(s))
	for _, h := range hashes {
		d.hashlimit(h)
	}
}

// hashDemand is one hashlimit match.
type hashDemand struct {
	name, what string
	size       uint64
	sized      bool
}

// hashlimit adds a table; matches of one name share it.
func (d *Demand) hashlimit(h *hashDemand) {
	n, what := uint64(hashlimitBytes), "hashlimit"
	if h.sized {
		n, what = max(times(h.size, bucketBytes), 1<<10), h.what
	}
	key := d.file + "\x00" + h.name
	if d.hash == nil {
		d.hash = map[string]uint64{}
	}
	if have := d.hash[key]; h.name != "" && n <= have {
		return
	}
	d.hash[key] = n
	d.request("hashlimit table", n, what)
}

// isMatch reports whether a word is -m or --match, also with more before or
// behind it.
func isMatch(w string) bool {
	if strings.HasPrefix(w, "--") {
		name, _, _ := strings.Cut(w, "=")
		return len(name) > 3 && strings.HasPrefix("--match", name)
	}
	return strings.HasPrefix(w, "-") && strings.Contains(w, "m")
}

// matchName is the heavy match or hashlimit that a word may name: alone, or in
// one word with its option. A word that only looks so costs nothing but the sum.
func matchName(w string) string {
	known := func(s string) bool { return s == "hashlimit" || heavy[s] > 0 }
	if i := strings.IndexByte(w, '='); i >= 0 {
		w = w[i+1:]
	} else if i := strings.IndexByte(w, 'm'); strings.HasPrefix(w, "-") && i > 0 {
		w = w[i+1:]
	}
	if known(w) {
		return w
	}
	return ""
}

// longValue is the argument of a long option, abbreviated to no less than least,
// in the same word or the next.
func longValue(w, next, least, full string) (string, bool) {
	name, v, joined := strings.Cut(w, "=")
	if !strings.HasPrefix(name, least) || !strings.HasPrefix(full, name) {
		return "", false
	}
	if joined {
		return v, true
	}
	return next, true
}

// addressesIn is the number of addresses that an option lists, of which the tool
// makes one rule each: -s and -d.
func addressesIn(w, next string, short byte, longs ...string) uint64 {
	v := ""
	if strings.HasPrefix(w, "--") {
		for _, l := range longs {
			if got, ok := longValue(w, next, l[:4], l); ok {
				v = got
			}
		}
	} else if i := strings.IndexByte(w, short); strings.HasPrefix(w, "-") && i > 0 {
		if v = w[i+1:]; v == "" {
			v = next
		}
	}
	return 1 + uint64(strings.Count(v, ","))
}
