package rules

import (
	"strings"

	"lifeline/probes/iptables/lex"
	"lifeline/probes/iptables/netfilter"
)

// ruleParser reads one line of rule arguments; it is reused for every line.
type ruleParser struct {
	fileContext
	lineContext
	argumentReader
	extensionUses
	command
	baseMatch
	outcome
	buffers
}

// fileContext is what holds for all lines of a file.
type fileContext struct {
	file    string
	family  netfilter.Family
	backend netfilter.Backend
	names   Names
	catalog *catalog
	// announced are the chains declared so far: their names are no targets.
	announced map[string]bool
}

// lineContext is the line that is being read.
type lineContext struct {
	lineNo int
	line   string
	table  string
}

// argumentReader walks the words of a line.
type argumentReader struct {
	words  []lex.Word
	i      int
	negate bool // a "!" came before
}

// hasArg reports whether the next word can be an optional argument.
func (a *argumentReader) hasArg() bool {
	if a.i >= len(a.words) {
		return false
	}
	t := a.words[a.i].Text
	return t == "" || t[0] != '-' && t[0] != '!'
}

// nextArg consumes the next word.
func (a *argumentReader) nextArg() string {
	a.i++
	return a.words[a.i-1].Text
}

// last is the word that was consumed last.
func (a *argumentReader) last() lex.Word {
	if a.i == 0 {
		return lex.Word{Col: 1}
	}
	return a.words[min(a.i, len(a.words))-1]
}

// command is what a line does to the table.
type command struct {
	cmd     byte // A C D I R L S F Z N X E P, 0 none; 'd' deletes by number
	chain   string
	num     int // of a rule, 0 none
	newName string
	policy  string
}

// baseMatch is what a rule says without extensions.
type baseMatch struct {
	flags    letters // base options seen
	inverted letters
	proto    string
	protoNum uint8
	src, dst lex.Word
	in, out  string
	jump     string
	isGoto   bool
}

func (b *baseMatch) has(c byte) bool { return b.flags.has(c) }

func (b *baseMatch) isInverted(c byte) bool { return b.inverted.has(c) }

// outcome is what else is to be known of a line.
type outcome struct {
	skip      bool // a line of the other family
	stops     bool // -V or -h: the tool ends here
	modprobe  bool
	uncertain []string // why loading cannot be foretold
	perhaps   string   // what about the rule depends on the tool's version
	refusal   error    // why the kernel will not take the rule
}

// buffers are reused from line to line.
type buffers struct {
	rules []*Rule // the result
	hosts [2][]host
}

func (p *ruleParser) reset(words []lex.Word) {
	*p = ruleParser{
		fileContext: p.fileContext, lineContext: p.lineContext, argumentReader: argumentReader{words: words},
		extensionUses: extensionUses{exts: p.exts[:0], pool: p.pool}, buffers: buffers{p.rules[:0], p.buffers.hosts},
	}
}

func (p *ruleParser) errAt(w lex.Word, why string) error {
	return &ParseError{File: p.file, Line: p.lineNo, Column: w.Col, Text: strings.TrimRight(p.line, "\n"), Why: why}
}
