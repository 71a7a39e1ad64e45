// Package remark is how the parts of a boot tell what they found: a sentence with the
// files, units and settings that it rests on goes out, and what it means for an answer.
// It decides nothing.
package remark

// Kind is what a remark means for whether management gets in after the boot.
type Kind int

// What a remark may mean.
const (
	// Note changes nothing, and is told.
	Note Kind = iota
	// Missed: somebody meant something to happen, and it does not. What is left may be
	// open, and is not what was meant.
	Missed
	// Opaque: something is not understood or cannot be known.
	Opaque
	// Cut: management does not get in.
	Cut
)

// Remark is one finding.
type Remark struct {
	Kind Kind
	// Cause is a short word for it that scripts may match, as "file-missing".
	Cause string
	// Text is a sentence, and Names the files, units and settings that it rests on.
	Text  string
	Names []string
}

// List collects remarks.
type List []Remark

// Add puts a remark behind the others.
func (l *List) Add(k Kind, cause, text string, names ...string) {
	*l = append(*l, Remark{Kind: k, Cause: cause, Text: text, Names: names})
}
