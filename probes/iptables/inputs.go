package iptables

import (
	"errors"
	"fmt"

	"lifeline/probes/iptables/rules"
)

// File is one rule file as the boot would load it.
type File struct {
	// Name is what errors and traces call it.
	Name string
	// Text is its content, byte by byte: line ends and a missing last newline
	// matter to the restore tool.
	Text []byte
	// NoFlush says that it is loaded with --noflush, on top of what earlier
	// files of the same back end left.
	NoFlush bool
	// Withheld says that nothing of a line that is not understood may be told.
	Withheld bool
	// Told is what the real restore tool said, zero if it was not asked.
	Told Told
}

// said is what is wrong with a file, without its text where that is withheld.
func (f File) said(err error) string {
	if !f.Withheld {
		return err.Error()
	}
	var p *rules.ParseError
	if errors.As(err, &p) {
		return fmt.Sprintf("%s:%d: this line is not understood, and is not shown here", f.Name, p.Line)
	}
	return f.Name + ": it is not understood, and is not shown here"
}

// Inputs are the files that the answer rests on. This package opens no file:
// the caller reads them.
type Inputs struct {
	// Rules are what the question's back end loads for the question's family,
	// in boot order. None means no rules at all: everything is accepted.
	Rules []File
	// Other are what the other back end loads for the same family. Both back
	// ends' rules apply to a packet.
	Other []File
	// IPSets is what `ipset restore` loads before the rules; nil if nothing.
	IPSets *File
	// NFT are the native nftables files, in boot order.
	NFT []File
	// ARP is the arptables file; nil if there is none. It concerns IPv4 only.
	ARP *File
	// Names resolves service, protocol, user and group names as the machine
	// of the question would.
	Names Names
}

// Told is what the real restore tool said about a file in a scratch
// namespace. The zero value means that it was not asked: the parser's own
// judgement counts then.
type Told struct {
	Load Load
	// Error is the tool's message, for people.
	Error string
	// Line is the 1-based line that the tool named in its error, 0 if none.
	// Tables whose COMMIT stands before it count as loaded.
	Line int
}
