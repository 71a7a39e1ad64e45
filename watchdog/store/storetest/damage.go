// Package storetest damages store files at random, for tests.
package storetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

const pageSize = 4096

// Damage gives a copy of a file with one random damage, and what it is. It is
// what disks, broken-off writes and hands do: an end that is missing, pages that
// are empty, exchanged or of another place, single bits, noise, and numbers in
// the head of a page that lie.
func Damage(r *rand.Rand, whole []byte) (damaged []byte, what string) {
	b := bytes.Clone(whole)
	pages := len(b) / pageSize
	at := func() int { return r.IntN(pages) * pageSize }
	switch r.IntN(7) {
	case 0:
		n := r.IntN(len(b))
		if r.IntN(2) == 0 {
			n = n / pageSize * pageSize
		}
		return b[:n], fmt.Sprintf("truncated to %d", n)
	case 1:
		p := at()
		clear(b[p : p+pageSize])
		return b, fmt.Sprintf("page %d empty", p/pageSize)
	case 2:
		p, q := at(), at()
		was := bytes.Clone(b[p : p+pageSize])
		copy(b[p:p+pageSize], b[q:q+pageSize])
		copy(b[q:q+pageSize], was)
		return b, fmt.Sprintf("pages %d and %d exchanged", p/pageSize, q/pageSize)
	case 3:
		n := 1 + r.IntN(64)
		for range n {
			b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		}
		return b, fmt.Sprintf("%d bits flipped", n)
	case 4:
		p := r.IntN(len(b) - 1)
		n := 1 + r.IntN(min(len(b)-p, 8*pageSize))
		for i := range n {
			b[p+i] = byte(r.Uint32())
		}
		return b, fmt.Sprintf("%d bytes of noise at %d", n, p)
	case 5:
		p, n := at(), 1+r.IntN(8)
		for range n {
			b[p+r.IntN(64)] = byte(r.Uint32())
		}
		return b, fmt.Sprintf("%d bytes of the head of page %d", n, p/pageSize)
	default:
		p, q := at(), at()
		id := bytes.Clone(b[q : q+8])
		copy(b[q:q+pageSize], b[p:p+pageSize])
		if r.IntN(2) == 0 {
			copy(b[q:q+8], id) // the copy says that it is in its place
		}
		return b, fmt.Sprintf("page %d also at %d", p/pageSize, q/pageSize)
	}
}

// Overwrite changes a file in its place, as a hand does under a running daemon.
func Overwrite(t *testing.T, path string, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 0); err != nil {
		t.Error(err)
	}
	if err := f.Truncate(int64(len(b))); err != nil {
		t.Error(err)
	}
}

// Rounds is how many damages a test tries: few, or as many as the environment
// says (make soak-attack).
func Rounds(t *testing.T, few int) int {
	n, err := strconv.Atoi(os.Getenv("LIFELINE_DAMAGES"))
	if err != nil {
		return few
	}
	return n
}
