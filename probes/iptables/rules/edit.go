package rules

import (
	"fmt"
	"slices"
	"strings"

	"lifeline/probes/iptables/netfilter"
)

// apply does what the command says.
func (l *loader) apply(p *ruleParser) error {
	switch p.cmd {
	case 'L', 'S':
		return nil
	case 'Z':
		return l.zero(p)
	case 'F', 'X':
		return l.clear(p)
	case 'N':
		if l.cur.byName[p.chain] != nil {
			return l.fail("chain already exists")
		}
		l.add(p.chain)
		return nil
	case 'E':
		return l.rename(p)
	}
	c := l.cur.byName[p.chain]
	if c == nil {
		return l.fail("no chain by that name")
	}
	if p.cmd == 'P' {
		if !c.Builtin {
			return l.fail("bad built-in chain name")
		}
		return l.setPolicy(c, p.policy)
	}
	if p.cmd == 'd' {
		if p.num > len(c.Rules) {
			return l.fail("index of deletion too big")
		}
		rest := len(c.Rules) - p.num
		c.Rules = slices.Delete(c.Rules, p.num-1, p.num)
		return l.charge(rest / movedAtOnce)
	}
	return l.ruleCommand(p, c)
}

// comparing is how much more it takes to compare two rules than to look at one.
const comparing = 16

// movedAtOnce is how many rules are moved in the time in which one is looked at.
const movedAtOnce = 64

// ruleCommand adds, replaces, checks or deletes by specification.
func (l *loader) ruleCommand(p *ruleParser, c *Chain) error {
	rules, err := p.compile()
	if err != nil {
		return err
	}
	switch p.cmd {
	case 'A':
		c.Rules = append(c.Rules, rules...)
	case 'I':
		if p.num > len(c.Rules)+1 {
			return l.fail("index of insertion too big")
		}
		if err := l.charge((len(c.Rules) + 1 - p.num) / movedAtOnce); err != nil {
			return err
		}
		c.Rules = slices.Insert(c.Rules, p.num-1, rules...)
	case 'R':
		if p.num > len(c.Rules) {
			return l.fail("index of replacement too big")
		}
		c.Rules[p.num-1] = rules[0]
		if l.opts.Backend == netfilter.NFT {
			l.toolErrs("iptables-nft-restore 1.8.9 crashes on -R")
		}
	case 'D', 'C':
		return l.deleteSpec(p, c, rules)
	}
	for _, r := range rules {
		if err := l.refusal(p, c, r); err != nil {
			l.refused = append(l.refused, refusedRule{c, err})
		}
		if err := l.note(r, p.line, l.line); err != nil {
			return err
		}
		if err := l.checkSet(r); err != nil {
			return err
		}
	}
	if p.target != nil && p.target.ext != nil && p.target.ext.hostWide {
		l.set.SideEffects = append(l.set.SideEffects, l.line)
	}
	return nil
}

// refusal is why nf_tables does not take a rule, if it stays or is deleted again:
// the tool sends both. x_tables sees the finished table only.
func (l *loader) refusal(p *ruleParser, c *Chain, r *Rule) error {
	if l.opts.Backend == netfilter.Legacy || p.refusal != nil || r.Target.Kind == TargetJump || r.Target.Kind == TargetGoto {
		return p.refusal
	}
	hooks := hookMask(0)
	if c.Builtin {
		hooks = hookOf(c.Name)
	}
	if err := p.catalog.misplaced(r, l.cur.Name, hooks); err != nil {
		return l.fail(err.Error())
	}
	return nil
}

// toolErrs notes a line on which the tool of 1.8.9 stops although it should not.
func (l *loader) toolErrs(why string) {
	if l.set.ToolError == nil {
		l.set.ToolError = &ParseError{File: l.set.File, Line: l.line, Text: strings.TrimRight(l.text, "\n"), Why: why}
	}
}

// note remembers a jump; its chain must be there already.
func (l *loader) note(r *Rule, text string, line int) error {
	if r.Target.Kind != TargetJump && r.Target.Kind != TargetGoto {
		return nil
	}
	if l.cur.byName[r.Target.Name] == nil {
		return l.fail(fmt.Sprintf("`%s' is neither a chain nor a target", r.Target.Name))
	}
	l.jumps = append(l.jumps, pendingJump{r, text, line})
	return nil
}

func (l *loader) deleteSpec(p *ruleParser, c *Chain, rules []*Rule) error {
	for _, want := range rules {
		if err := l.charge(len(c.Rules) * comparing); err != nil {
			return err
		}
		i := slices.IndexFunc(c.Rules, func(r *Rule) bool { return r.sameAs(want) })
		if i < 0 && slices.ContainsFunc(c.Rules, func(r *Rule) bool { return len(r.Unmodelled) > 0 }) {
			// A match that is kept as text may be the same in other words.
			l.uncertain = append(l.uncertain, fmt.Sprintf("%s:%d: rule to delete is not understood", l.set.File, l.line))
			l.set.DoubtLine = l.line
			return nil
		}
		if i < 0 {
			return l.fail("bad rule (does a matching rule exist in that chain?)")
		}
		if p.cmd == 'D' {
			c.Rules = slices.Delete(c.Rules, i, i+1)
		}
	}
	return nil
}

// zero sets counters to nothing; the nft tool of 1.8.9 also sets the policy of
// the built-in chains to ACCEPT by it, and does not survive a rule number.
func (l *loader) zero(p *ruleParser) error {
	if p.chain != "" && l.cur.byName[p.chain] == nil {
		return l.fail("no chain by that name")
	}
	if l.opts.Backend == netfilter.NFT && p.num > 0 {
		l.toolErrs("iptables-nft-restore 1.8.9 crashes on -Z with a rule number")
	}
	if err := l.charge(len(l.cur.Chains)); err != nil {
		return err
	}
	for _, c := range l.cur.Chains {
		if l.opts.Backend == netfilter.NFT && c.Policy == "DROP" && (p.chain == "" || p.chain == c.Name) {
			l.set.VersionLine = l.line
			if !l.opts.AsDocumented {
				c.Policy, c.PolicyLine, c.PolicyFile = "ACCEPT", l.line, l.set.File
			}
		}
	}
	return nil
}

// clear handles -F and -X, of one chain or of all.
func (l *loader) clear(p *ruleParser) error {
	if p.chain == "" {
		return l.clearAll(p.cmd)
	}
	c := l.cur.byName[p.chain]
	switch {
	case c == nil:
		return l.fail("no chain by that name")
	case p.cmd == 'F':
		return l.flush(c)
	case c.Builtin && l.opts.Backend == netfilter.Legacy:
		return l.fail("can't delete built-in chain")
	}
	return l.remove(c)
}

func (l *loader) clearAll(cmd byte) error {
	if err := l.charge(len(l.cur.Chains)); err != nil {
		return err
	}
	for _, c := range slices.Clone(l.cur.Chains) {
		switch {
		case cmd == 'F' && l.opts.Backend == netfilter.NFT && len(c.Rules) > 0 && !l.opts.AsDocumented:
			// 1.8.9 keeps the rules of the same file that came before.
			l.set.VersionLine, l.kept = l.line, true
			if l.opts.NoFlush {
				l.set.DoubtLine = l.line // and not those of earlier files
			}
		case cmd == 'F':
			if err := l.flush(c); err != nil {
				return err
			}
		case !c.Builtin, l.opts.Backend == netfilter.NFT && len(c.Rules) == 0:
			if err := l.remove(c); err != nil {
				return err
			}
		}
	}
	if cmd == 'X' && l.kept {
		l.set.DoubtLine = l.line // 1.8.9 is not at one with itself which chains are empty
	}
	return nil
}

// flush empties a chain; what the kernel would have refused of it is never sent.
func (l *loader) flush(c *Chain) error {
	c.Rules = nil
	err := l.charge(len(l.refused))
	l.refused = slices.DeleteFunc(l.refused, func(r refusedRule) bool { return r.chain == c })
	return err
}

// remove deletes a chain that must be empty and not jumped to. A built-in one,
// which only nft lets go, comes back with policy ACCEPT.
func (l *loader) remove(c *Chain) error {
	if len(c.Rules) > 0 {
		return l.fail("the chain is not empty")
	}
	if c.Builtin {
		c.Policy, c.PolicyLine, c.PolicyFile = "ACCEPT", l.line, l.set.File
		return nil
	}
	for _, o := range l.cur.Chains {
		if err := l.charge(1 + len(o.Rules)); err != nil {
			return err
		}
		for _, r := range o.Rules {
			if o != c && r.Target.Name == c.Name {
				return l.fail("too many links: the chain is in use")
			}
		}
	}
	delete(l.cur.byName, c.Name)
	l.cur.Chains = slices.DeleteFunc(l.cur.Chains, func(o *Chain) bool { return o == c })
	return nil
}

func (l *loader) rename(p *ruleParser) error {
	c := l.cur.byName[p.chain]
	if c == nil || c.Builtin || l.cur.byName[p.newName] != nil {
		return l.fail("cannot rename chain")
	}
	if err := l.rule.badChainName(p.newName); err != nil {
		return l.fail(err.Error())
	}
	switch {
	case l.opts.Backend == netfilter.NFT && l.opts.NoFlush: // it may be there before
		l.uncertain = append(l.uncertain, fmt.Sprintf("%s:%d: chain renamed", l.set.File, l.line))
	case l.opts.Backend == netfilter.NFT:
		l.toolErrs("iptables-nft-restore 1.8.9 does not find the chain to rename")
	}
	for _, o := range l.cur.Chains {
		if err := l.charge(1 + len(o.Rules)); err != nil {
			return err
		}
		for _, r := range o.Rules {
			if r.Target.Name == c.Name {
				r.Target.Name = p.newName
			}
		}
	}
	delete(l.cur.byName, c.Name)
	c.Name = p.newName
	l.cur.byName[c.Name] = c
	return nil
}

// checkSet refuses a rule whose ipset is not there.
func (l *loader) checkSet(r *Rule) error {
	for _, c := range r.Matches {
		name := ""
		switch s := c.(type) {
		case SetMatch:
			name = s.Name
		case SetUse:
			name = s.Name
		default:
			continue
		}
		if err := l.opts.Sets.refuses(name, l.opts.Family); err != nil {
			return l.fail(err.Error())
		}
	}
	return nil
}
