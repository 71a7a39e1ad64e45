package firewall

import (
	"bytes"
	"slices"
	"strings"
)

// Step is a part with how it is restored.
type Step struct {
	Part
	Flush bool
}

// Origin is where a line of a composed text comes from: the file and its line, or "" and
// 0 where a manager makes it.
type Origin struct {
	File string
	Line int
}

// Composed is a text for iptables-restore(8) that leaves the tables as several texts leave
// them that are restored one after the other.
type Composed struct {
	Text []byte
	// Origins are those of the text's lines, the first line's first.
	Origins []Origin
}

// table is what stands of a table.
type table struct {
	chains []originLine // declarations, each chain's once
	rules  []originLine
}

type originLine struct {
	text string
	Origin
}

// Compose puts steps together. A single one is left as it is, byte for byte; each must be
// one that loads.
func Compose(steps []Step) Composed {
	if len(steps) == 1 {
		c := Composed{Text: steps[0].Text}
		for i := range bytes.Count(c.Text, []byte("\n")) + 1 {
			c.Origins = append(c.Origins, Origin{steps[0].File, i + 1})
		}
		return c
	}
	var order []string
	tables := map[string]*table{}
	for _, s := range steps {
		compose(s, &order, tables)
	}
	var c Composed
	add := func(l originLine) {
		c.Text = append(c.Text, l.text...)
		c.Text = append(c.Text, '\n')
		c.Origins = append(c.Origins, l.Origin)
	}
	for _, name := range order {
		add(originLine{text: "*" + name})
		for _, l := range slices.Concat(tables[name].chains, tables[name].rules) {
			add(l)
		}
		add(originLine{text: "COMMIT"})
	}
	return c
}

// compose restores one text over what stands.
func compose(s Step, order *[]string, tables map[string]*table) {
	var at *table
	number := 0
	for raw := range strings.Lines(string(s.Text)) {
		number++
		line := strings.TrimRight(raw, " \t\r\n")
		l := originLine{line, Origin{s.File, number}}
		if s.File == "" {
			l.Origin = Origin{}
		}
		switch {
		case line == "", line[0] == '#', line == "COMMIT":
		case line[0] == '*':
			name := line[1:]
			if tables[name] == nil {
				tables[name] = &table{}
				*order = append(*order, name)
			}
			if at = tables[name]; s.Flush {
				*at = table{}
			}
		case at == nil:
		case line[0] == ':':
			at.declare(l)
		default:
			at.rules = append(at.rules, l)
		}
	}
}

// declare takes the declaration of a chain: of a built-in one the last policy counts, and
// one of the user's that is there already is emptied.
func (t *table) declare(l originLine) {
	name, rest, _ := strings.Cut(l.text[1:], " ")
	i := slices.IndexFunc(t.chains, func(c originLine) bool { return strings.HasPrefix(c.text, ":"+name+" ") })
	builtIn := !strings.HasPrefix(strings.TrimSpace(rest), "-")
	switch {
	case i < 0:
		t.chains = append(t.chains, l)
	case builtIn:
		t.chains[i] = l
	default:
		t.rules = append(t.rules, originLine{"-F " + name, l.Origin})
	}
}
