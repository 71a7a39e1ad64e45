package kernelmem

import (
	"net/netip"
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netset"
)

// setDemand is an ipset that a file makes.
type setDemand struct {
	types   []string
	maxElem uint64
	have    uint64
}

const (
	elemBytes     = 96      // of one element of an ipset, with its share of the table
	maxElemUsual  = 1 << 16 // ipset(8): maxelem
	bitmapMost    = 1 << 16 // elements of a bitmap
	bitmapExtra   = 64      // bytes of one, where it carries more than its bit
	nftElemBytes  = 256
	nftRangeBytes = 16 << 10 // of a range in a concatenation: it is cut into prefixes (nft_set_pipapo)
	nftCountBytes = 4 << 10  // of "ct count"
)

// IPSets adds a file for `ipset restore`.
func (d *Demand) IPSets(name string, text []byte) {
	d.file, d.line, d.sets = name, 0, map[string]*setDemand{}
	for s := range strings.Lines(string(text)) {
		d.line++
		if s = strings.TrimSpace(s); s == "" || s[0] == '#' {
			continue
		}
		w := strings.Fields(strings.ReplaceAll(s, `"`, ""))
		for i, x := range w {
			x = strings.TrimLeft(x, "-")
			switch {
			case isBitmap(x):
				d.request("ipset", bitmapBytes(w), s)
			case strings.HasSuffix(x, "hashsize") && i+1 < len(w):
				n, _ := lex.Number(w[i+1], 0, 1<<63)
				d.request("ipset", table(n), s)
			case x == "size" && i+1 < len(w):
				n, _ := lex.Number(w[i+1], 0, 1<<63)
				d.request("ipset", times(n, 16), s)
			}
		}
		d.setCommand(s, w)
	}
}

// setCommand takes the elements that a line adds.
func (d *Demand) setCommand(s string, w []string) {
	for len(w) > 0 && (w[0] == "ipset" || w[0] == "-!" || w[0] == "-exist" || w[0] == "--exist" || w[0] == "-q" || w[0] == "-quiet") {
		w = w[1:]
	}
	if len(w) < 3 {
		return
	}
	if _, dims, ok := strings.Cut(w[2], ":"); ok && d.sets[w[1]] == nil && (w[0] == "-N" || strings.HasPrefix("create", strings.TrimLeft(w[0], "-")) || w[0] == "n") {
		x := &setDemand{types: strings.Split(dims, ","), maxElem: maxElemUsual}
		for i, o := range w[:len(w)-1] {
			if n, ok := lex.Number(w[i+1], 0, 1<<32-1); ok && strings.TrimLeft(o, "-") == "maxelem" {
				x.maxElem = n
			}
		}
		d.sets[w[1]] = x
		if !isBitmap(w[2]) {
			d.request("ipset", table(1024), s)
		}
		return
	}
	if w[0] != "-A" && !strings.HasPrefix("add", strings.TrimLeft(w[0], "-")) {
		return
	}
	x := d.sets[w[1]]
	if x == nil {
		x = &setDemand{maxElem: maxElemUsual}
		d.sets[w[1]] = x
	}
	n := uint64(1)
	for i, e := range strings.Split(w[2], ",") {
		if i < len(x.types) {
			n = times(n, elements(e, x.types[i]))
		}
	}
	n = min(n, x.maxElem-min(x.have, x.maxElem))
	x.have += n
	if n > 0 {
		d.request("ipset element", times(n, elemBytes+uint64(len(s))), s)
	}
}

// elements is how many elements one dimension of an entry stands for.
func elements(e, kind string) uint64 {
	switch kind {
	case "ip":
		if lo, hi, ok := strings.Cut(e, "-"); ok {
			a, errA := netip.ParseAddr(lo)
			b, errB := netip.ParseAddr(hi)
			if errA != nil || errB != nil || !a.Is4() || !b.Is4() || b.Less(a) {
				return 1
			}
			return netset.AddrOf(b).Lo - netset.AddrOf(a).Lo + 1
		}
		if p, err := netip.ParsePrefix(e); err == nil && p.Addr().Is4() {
			return 1 << (32 - p.Bits())
		}
	case "port":
		if _, ports, ok := strings.Cut(e, ":"); ok {
			e = ports
		}
		lo, hi, _ := strings.Cut(e, "-")
		a, okA := lex.Number(lo, 0, 65535)
		b, okB := lex.Number(hi, 0, 65535)
		if okA && okB && b >= a {
			return b - a + 1
		}
	}
	return 1
}

func isBitmap(w string) bool {
	return strings.HasPrefix(w, "bitmap:") || lex.OneOf(w, "ipmap portmap macipmap")
}

// bitmapBytes is what the line of a bitmap asks for.
func bitmapBytes(w []string) uint64 {
	for _, o := range w {
		if lex.OneOf(strings.TrimLeft(o, "-"), "timeout counters comment skbinfo bitmap:ip,mac macipmap") {
			return bitmapMost * bitmapExtra
		}
	}
	return bitmapMost / 8
}

// NFTFile is a file for `nft -f`, or one that such a file includes.
type NFTFile struct {
	Name string
	Text []byte
	// Times is how often it is loaded.
	Times int
}

// NFT adds files that are loaded as one. What a variable stands for counts
// wherever it is used, whatever file it is from.
func (d *Demand) NFT(files ...NFTFile) {
	var look Demand // only for the variables
	look.defs = map[string]uint64{}
	for range 2 { // a file may use what a later one defines
		for _, f := range files {
			look.nft(f)
		}
	}
	d.defs = look.defs
	for _, f := range files {
		d.nft(f)
	}
}

func (d *Demand) nft(f NFTFile) {
	d.file = f.Name
	n := nftDemand{Demand: d, lex: lex.NFTLexer{Text: string(f.Text), Line: 1}, times: uint64(max(f.Times, 1))}
	for {
		t, ok := n.lex.Next()
		if !ok {
			n.statement()
			return
		}
		n.token(t)
	}
}

// nftDemand walks the tokens of one file.
type nftDemand struct {
	*Demand
	lex   lex.NFTLexer
	times uint64 // that the file is loaded
	words int    // of the statement
	bytes uint64 // of its elements
	first string // its beginning
	last  string // the token before
	// ranges and dot are of the element at hand.
	ranges uint64
	dot    bool
	depth  int
	// def is the variable that is being defined, at depth defAt.
	def   string
	defAt int
}

func (n *nftDemand) token(t lex.NFTToken) {
	n.line = t.Line
	switch t.Text {
	case ";":
		if n.def != "" && n.depth > n.defAt {
			return // a line's end in a list
		}
		n.statement()
		return
	case "{":
		n.depth++
	case "}":
		n.depth--
		n.element()
	case ".":
		n.dot = true
	case "define", "redefine":
		if n.words == 0 {
			n.def, n.defAt = "?", n.depth
		}
	case "count":
		n.bytes = plus(n.bytes, nftCountBytes)
	}
	if n.def == "?" && (n.last == "define" || n.last == "redefine") {
		n.def, _, _ = strings.Cut(t.Text, "=")
	}
	if n.last == "size" {
		if size, ok := lex.Number(t.Text, 0, 1<<63); ok {
			n.request("nft set", times(table(times(size, 4)/3), n.times), n.first+" ... size "+t.Text)
		}
	}
	if n.words++; n.words <= 4 {
		n.first = strings.TrimSpace(n.first + " " + lex.Clip(t.Text, 30))
	}
	n.last = t.Text
	n.inside(t.Text)
}

// inside looks at the characters of a word: a comma ends an element, a dash
// makes a range, a dollar names a variable.
func (n *nftDemand) inside(w string) {
	if w[0] == '"' {
		return
	}
	for i := 0; i < len(w); i++ {
		switch w[i] {
		case ',':
			n.element()
		case '-':
			n.ranges++
		case '.':
			n.dot = n.dot || i == 0 || i == len(w)-1
		case '$':
			j := i + 1
			for j < len(w) && (w[j] == '_' || w[j] == '-' || w[j] == '.' || w[j] == '/' || w[j] >= '0' && w[j] <= '9' || w[j]|0x20 >= 'a' && w[j]|0x20 <= 'z') {
				j++
			}
			n.bytes = plus(n.bytes, n.defs[w[i+1:j]])
		}
	}
}

// element ends an element of a list.
func (n *nftDemand) element() {
	cost := uint64(nftElemBytes)
	if n.dot {
		cost += n.ranges * nftRangeBytes
	}
	n.bytes = plus(n.bytes, cost)
	n.ranges, n.dot = 0, false
}

// statement ends a statement: it is a rule at most, or the value of a variable,
// which costs nothing yet.
func (n *nftDemand) statement() {
	if n.words > 0 {
		n.element()
		if n.def != "" {
			n.defs[n.def] = max(n.bytes, n.defs[n.def])
		} else {
			n.request("nft statement", times(n.each(plus(ruleBytes, n.bytes)), n.times), n.first)
		}
	}
	n.words, n.bytes, n.first, n.last, n.def = 0, 0, "", "", ""
}
