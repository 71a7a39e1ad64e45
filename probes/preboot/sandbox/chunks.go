package sandbox

import (
	"bytes"
	"errors"
	"strings"
)

// In a user namespace iptables-nft-restore cannot raise its send buffer
// (SO_SNDBUFFORCE asks for CAP_NET_ADMIN of the host), so that a table of more
// than a few hundred rules does not fit one message. There a large file is
// loaded in chunks: each table as its first rules, and then the others, with
// --noflush, on top.

// chunk is a part of a rule file with whole tables and the line numbers of
// the original.
type chunk struct {
	table string
	text  []byte
	// noFlush: it adds to what an earlier chunk loaded.
	noFlush bool
}

// maxFilled bounds the empty lines that keep the line numbers of all chunks.
const maxFilled = 64 << 20

var errIrregular = errors.New("the file cannot be loaded in chunks")

// splitChunks divides a rule file into chunks of at most n commands. It refuses files
// in which the division might change the meaning: chains that are declared
// after the first command, or anything unfinished.
func splitChunks(text []byte, n int) ([]chunk, error) {
	var out []chunk
	var cur *chunk
	commands, i, filled := 0, -1, 0
	for line := range bytes.Lines(text) {
		if i++; filled > maxFilled {
			return nil, errIrregular
		}
		s := strings.TrimSuffix(string(line), "\n")
		switch {
		case s == "" || s[0] == '#':
			if cur != nil {
				cur.text = append(cur.text, '\n')
			}
		case cur == nil && s[0] == '*':
			cur, commands, filled = &chunk{table: s[1:], text: append(blankLines(i), line...)}, 0, filled+i
		case cur == nil || !bytes.HasSuffix(line, []byte("\n")):
			return nil, errIrregular
		case s == "COMMIT":
			cur.text = append(cur.text, line...)
			out, cur = append(out, *cur), nil
		case s[0] == ':' && (commands > 0 || cur.noFlush):
			return nil, errIrregular
		case s[0] == ':':
			cur.text = append(cur.text, line...)
		default:
			if commands == n {
				cur.text = append(cur.text, "COMMIT\n"...)
				out = append(out, *cur)
				head := append([]byte("*"+cur.table+"\n"), blankLines(i-1)...)
				cur, commands, filled = &chunk{table: cur.table, text: head, noFlush: true}, 0, filled+i
			}
			cur.text = append(cur.text, line...)
			commands++
		}
	}
	if cur != nil {
		return nil, errIrregular
	}
	return out, nil
}

func blankLines(n int) []byte { return bytes.Repeat([]byte("\n"), max(0, n)) }

// messageTooLong reports whether a tool failed for the size of its message alone.
func messageTooLong(l LoadResult) bool {
	return l.Code > 0 && strings.Contains(l.Stderr, "Message too long")
}
