package rules

import (
	"errors"
	"fmt"
	"slices"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
)

// nftMaxDepth is how many chains may be nested below a hook with nf_tables
// (NFT_JUMP_STACK_SIZE).
const nftMaxDepth = 16

// resolve ties the jumps of the open table to its chains.
func (l *loader) resolve() error {
	for _, j := range l.jumps {
		c := l.cur.byName[j.rule.Target.Name]
		if c == nil {
			return l.fail(fmt.Sprintf("chain '%s' does not exist", j.rule.Target.Name))
		}
		if c.Builtin {
			return l.failAt(j.line, j.text, fmt.Sprintf("cannot jump to built-in chain '%s'", c.Name))
		}
		j.rule.Target.Chain = c
	}
	for i, c := range l.cur.Chains {
		c.id = i
	}
	return nil
}

// hookMask is a set of hooks, one bit each.
type hookMask uint8

const (
	hkPrerouting hookMask = 1 << iota
	hkInput
	hkForward
	hkOutput
	hkPostrouting
	hkAll hookMask = 1<<iota - 1
)

func hookOf(chain string) hookMask {
	switch chain {
	case "PREROUTING":
		return hkPrerouting
	case "INPUT":
		return hkInput
	case "FORWARD":
		return hkForward
	case "OUTPUT":
		return hkOutput
	}
	return hkPostrouting
}

// verify makes the checks that the kernel makes at commit: no loops that a
// packet could enter, not too deep, and targets and matches only where they
// may stand.
func (l *loader) verify() error {
	v := verifier{loader: l, depth: make([]int, len(l.cur.Chains)), state: make([]uint8, len(l.cur.Chains)),
		hooks: make([]hookMask, len(l.cur.Chains))}
	var order []*Chain
	for _, c := range l.cur.Chains {
		if !c.Builtin {
			continue
		}
		if err := v.visit(c, &order); err != nil {
			return err
		}
		v.hooks[c.id] = hookOf(c.Name)
	}
	for _, c := range slices.Backward(order) {
		for _, r := range v.reached(c) {
			if d := r.Target.Chain; d != nil {
				v.hooks[d.id] |= v.hooks[c.id]
				v.depth[d.id] = max(v.depth[d.id], v.depth[c.id]+1)
				if l.opts.Backend == netfilter.NFT && v.depth[d.id] >= nftMaxDepth {
					return l.failAt(r.Line, r.Text, "too many nested chains")
				}
			}
		}
	}
	for _, c := range l.cur.Chains {
		reached := len(v.reached(c))
		for i, r := range c.Rules {
			hooks := v.hooks[c.id]
			if i >= reached {
				hooks = 0 // the table counts for these too, the hook does not
			}
			if err := l.rule.catalog.misplaced(r, l.cur.Name, hooks); err != nil {
				return l.failAt(r.Line, r.Text, err.Error())
			}
		}
	}
	return nil
}

// verifier walks the chains that packets can reach.
type verifier struct {
	*loader
	state []uint8 // 0 new, 1 on the way, 2 done
	depth []int
	hooks []hookMask
}

// reached are the rules of a chain that the kernel checks: x_tables looks no
// further than the first unconditional verdict.
func (v *verifier) reached(c *Chain) []*Rule {
	if v.opts.Backend == netfilter.NFT {
		return c.Rules
	}
	for i, r := range c.Rules {
		switch r.Target.Kind {
		case TargetAccept, TargetDrop, TargetReturn:
			if r.bare {
				return c.Rules[:i+1]
			}
		}
	}
	return c.Rules
}

// visit is a depth-first search with its own stack: a file may nest chains
// deeper than is wise to recurse.
func (v *verifier) visit(root *Chain, order *[]*Chain) error {
	type frame struct {
		c     *Chain
		rules []*Rule
	}
	stack := []frame{{root, v.reached(root)}}
	v.state[root.id] = 1
	for len(stack) > 0 {
		f := &stack[len(stack)-1]
		if len(f.rules) == 0 {
			v.state[f.c.id] = 2
			*order = append(*order, f.c)
			stack = stack[:len(stack)-1]
			continue
		}
		r := f.rules[0]
		f.rules = f.rules[1:]
		d := r.Target.Chain
		if d == nil || v.state[d.id] == 2 {
			continue
		}
		if v.state[d.id] == 1 {
			return v.failAt(r.Line, r.Text, "loop of chains")
		}
		v.state[d.id] = 1
		stack = append(stack, frame{d, v.reached(d)})
	}
	return nil
}

// place is where the kernel lets a target or match stand.
type place struct {
	tables string   // empty: any
	hooks  hookMask // 0: any
}

func (pl place) refuses(table string, hooks hookMask) bool {
	return pl.tables != "" && !lex.OneOf(table, pl.tables) || pl.hooks != 0 && hooks&^pl.hooks != 0
}

// misplaced says why the kernel would refuse the rule in that table, reached
// from those hooks.
func (c *catalog) misplaced(r *Rule, table string, hooks hookMask) error {
	if r.Target.Chain == nil && c.targets[r.Target.Name].place.refuses(table, hooks) {
		return fmt.Errorf("target %s may not stand here", r.Target.Name)
	}
	for _, u := range r.Unmodelled {
		if c.matches[u].place.refuses(table, hooks) {
			return fmt.Errorf("match %s may not stand here", u)
		}
	}
	for _, m := range r.Matches {
		switch m := m.(type) {
		case RPFilterMatch:
			if c.matches["rpfilter"].place.refuses(table, hooks) {
				return errors.New("match rpfilter may not stand here")
			}
		case AddrTypeMatch:
			if m.LimitIn && hooks&(hkOutput|hkPostrouting) != 0 || m.LimitOut && hooks&(hkPrerouting|hkInput) != 0 {
				return errors.New("addrtype: the link limit does not fit the chain")
			}
		}
	}
	return nil
}
