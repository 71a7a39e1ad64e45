package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// The layout of a bbolt file, version 2: pages with a head of 16 bytes, of which
// the first two are the meta pages.
const (
	magic       = 0xED0CDAED
	version     = 2
	pageHead    = 16
	elementSize = 16
	bucketHead  = 16
	metaSize    = 64
	sumAt       = 56 // of the checksum within a meta
	branchPage  = 0x01
	leafPage    = 0x02
	metaPage    = 0x04
	freePage    = 0x10
	isBucket    = 0x01       // flag of a leaf element
	noFreelist  = ^uint64(0) // instead of the freelist's page
	manyFree    = 0xFFFF     // count of a freelist that has its count in the first entry
	largestRun  = 32 << 20   // bytes of a page with its overflow; values have a few MB at most
	deepest     = 40         // levels of buckets and pages
	leastPage   = 1 << 10    // bytes
	largestPage = 64 << 10   // bytes
)

var order = binary.NativeEndian // bbolt writes as the machine does

// meta is what a meta page says.
type meta struct {
	pageSize uint64
	root     uint64
	freelist uint64
	high     uint64 // pages from here on do not exist
	tx       uint64
}

// verifier walks through a file by plain reads.
type verifier struct {
	r    io.ReaderAt
	size int64
	meta
	used []bool // by page: part of the tree, or of the list of free ones
	free []bool

	buffers [][]byte // by depth
}

// verify tells whether bbolt can work on a file of that size without harm. An
// error is ErrDamaged, or that of a read.
func verify(r io.ReaderAt, size int64) error {
	if size == 0 {
		return nil // bbolt begins one
	}
	m, err := newestMeta(r, size)
	if err != nil {
		return err
	}
	if m.high < 2 || m.high > uint64(size)/m.pageSize {
		return damage("it has %d bytes, and should have %d pages of %d", size, m.high, m.pageSize)
	}
	v := &verifier{r: r, size: size, meta: m, used: make([]bool, m.high), free: make([]bool, m.high)}
	v.used[0], v.used[1] = true, true
	if err := v.freelist(); err != nil {
		return err
	}
	return v.tree(v.root, nil, nil, 0)
}

func damage(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// newestMeta gives the meta that bbolt will go by. The second one is where the
// first, or else a guess of all sizes, says how large a page is.
func newestMeta(r io.ReaderAt, size int64) (newest meta, err error) {
	found := false
	take := func(at uint64) error {
		m, ok, err := readMeta(r, size, at)
		if ok && (at == 0 || m.pageSize == at) && (!found || m.tx > newest.tx) {
			newest, found = m, true
		}
		return err
	}
	if err := take(0); err != nil {
		return newest, err
	}
	for at := uint64(leastPage); at <= largestPage; at *= 2 {
		if found && newest.pageSize != at {
			continue
		}
		if err := take(at); err != nil {
			return newest, err
		}
	}
	if !found {
		return newest, damage("neither of its two heads is one")
	}
	return newest, nil
}

func readMeta(r io.ReaderAt, size int64, at uint64) (m meta, ok bool, err error) {
	b := make([]byte, pageHead+metaSize)
	if int64(at)+int64(len(b)) > size {
		return m, false, nil
	}
	if err := readAt(r, b, at); err != nil {
		return m, false, err
	}
	b = b[pageHead:]
	sum := fnv.New64a()
	sum.Write(b[:sumAt])
	m = meta{pageSize: uint64(order.Uint32(b[8:])), root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]), high: order.Uint64(b[40:]), tx: order.Uint64(b[48:])}
	ok = order.Uint32(b) == magic && order.Uint32(b[4:]) == version && order.Uint64(b[sumAt:]) == sum.Sum64() &&
		m.pageSize >= leastPage && m.pageSize <= largestPage && m.pageSize&(m.pageSize-1) == 0
	return m, ok, nil
}

// readAt reads all of b. A file that ends before is damaged.
func readAt(r io.ReaderAt, b []byte, at uint64) error {
	n, err := r.ReadAt(b, int64(at))
	switch {
	case n == len(b):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return damage("it ends at byte %d", at+uint64(n))
	}
	return err
}

// page is one page with its overflow.
type page struct {
	id    uint64
	flags uint16
	count uint64
	body  []byte // behind the head
}

// page reads a page that nobody has claimed yet, and claims it. Its body is good
// until the next page at that depth.
func (v *verifier) page(id uint64, depth int) (p page, err error) {
	if id < 2 || id >= v.high {
		return p, damage("it names page %d of %d", id, v.high)
	}
	b := v.buffer(depth, v.pageSize)
	if err := readAt(v.r, b, id*v.pageSize); err != nil {
		return p, err
	}
	p = page{id: order.Uint64(b), flags: order.Uint16(b[8:]), count: uint64(order.Uint16(b[10:]))}
	pages := uint64(order.Uint32(b[12:])) + 1
	switch {
	case p.id != id:
		return p, damage("page %d says that it is page %d", id, p.id)
	case pages > v.high-id || pages*v.pageSize > largestRun:
		return p, damage("page %d says that it is %d pages long", id, pages)
	}
	for i := id; i < id+pages; i++ {
		if v.used[i] || v.free[i] {
			return p, damage("page %d is used twice", i)
		}
		v.used[i] = true
	}
	if pages > 1 {
		b = v.buffer(depth, pages*v.pageSize)
		err = readAt(v.r, b, id*v.pageSize)
	}
	p.body = b[pageHead:]
	return p, err
}

// buffer gives n bytes for a page at a depth.
func (v *verifier) buffer(depth int, n uint64) []byte {
	for len(v.buffers) <= depth {
		v.buffers = append(v.buffers, nil)
	}
	if uint64(cap(v.buffers[depth])) < n {
		v.buffers[depth] = make([]byte, n)
	}
	return v.buffers[depth][:n]
}

// freelist reads which pages are free.
func (v *verifier) freelist() error {
	if v.meta.freelist == noFreelist {
		return nil
	}
	p, err := v.page(v.meta.freelist, 0)
	if err != nil {
		return err
	}
	ids := p.body
	if p.count == manyFree {
		p.count, ids = order.Uint64(ids), ids[8:]
	}
	if p.flags != freePage || p.count > uint64(len(ids))/8 {
		return damage("page %d is no list of free pages", p.id)
	}
	last := uint64(1)
	for i := range p.count {
		id := order.Uint64(ids[i*8:])
		if id <= last || id >= v.high || v.used[id] {
			return damage("the list of free pages names page %d", id)
		}
		v.free[id], last = true, id
	}
	return nil
}

// tree walks through the pages below one, whose keys are from least on and below
// most; nil is no bound.
func (v *verifier) tree(id uint64, least, most []byte, depth int) error {
	if depth > deepest {
		return damage("it is nested deeper than %d levels", deepest)
	}
	p, err := v.page(id, depth)
	if err != nil {
		return err
	}
	switch {
	case p.flags == leafPage:
		return v.leaf(p, least, most, depth)
	case p.flags == branchPage && p.count > 0:
		return v.branch(p, least, most, depth)
	}
	return damage("page %d is of no known sort (%#x)", id, p.flags)
}

func (v *verifier) branch(p page, least, most []byte, depth int) error {
	if p.count*elementSize > uint64(len(p.body)) {
		return damage("page %d has %d entries", p.id, p.count)
	}
	child := func(i uint64) (key []byte, id uint64, ok bool) {
		e := p.body[i*elementSize:]
		key, ok = part(p.body, i*elementSize, uint64(order.Uint32(e)), uint64(order.Uint32(e[4:])))
		return key, order.Uint64(e[8:]), ok
	}
	for i := range p.count {
		key, id, ok := child(i)
		end := most
		if i+1 < p.count {
			var after bool
			end, _, after = child(i + 1)
			ok = ok && after
		}
		if !ok {
			return damage("a key of page %d is not within it", p.id)
		}
		if err := ordered(p.id, int(i), key, least, most); err != nil {
			return err
		}
		if err := v.tree(id, key, end, depth+1); err != nil {
			return err
		}
		least = key
	}
	return nil
}

// ordered tells whether the i-th key of a page is where it should be.
func ordered(id uint64, i int, key, least, most []byte) error {
	c := bytes.Compare(key, least)
	if c < 0 || c == 0 && i > 0 || most != nil && bytes.Compare(key, most) >= 0 {
		return damage("the keys of page %d are not in order", id)
	}
	return nil
}

func (v *verifier) leaf(p page, least, most []byte, depth int) error {
	if p.count*elementSize > uint64(len(p.body)) {
		return damage("page %d has %d entries", p.id, p.count)
	}
	for i := range int(p.count) {
		at := uint64(i) * elementSize
		e := p.body[at:]
		flags, keyAt := order.Uint32(e), uint64(order.Uint32(e[4:]))
		keyLen, valueLen := uint64(order.Uint32(e[8:])), uint64(order.Uint32(e[12:]))
		key, ok := part(p.body, at, keyAt, keyLen)
		value, ok2 := part(p.body, at, keyAt+keyLen, valueLen)
		if !ok || !ok2 || flags&^isBucket != 0 {
			return damage("an entry of page %d is not within it", p.id)
		}
		if err := ordered(p.id, i, key, least, most); err != nil {
			return err
		}
		least = key
		if flags&isBucket != 0 {
			if err := v.bucket(value, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// bucket follows the root of a bucket, or looks at one that is small enough to
// stand in its parent's page.
func (v *verifier) bucket(b []byte, depth int) error {
	if len(b) < bucketHead {
		return damage("a bucket has %d bytes", len(b))
	}
	if root := order.Uint64(b); root != 0 {
		return v.tree(root, nil, nil, depth)
	}
	b = b[bucketHead:]
	if len(b) < pageHead || depth > deepest {
		return damage("a bucket within a page has %d bytes", len(b))
	}
	p := page{id: order.Uint64(b), flags: order.Uint16(b[8:]), count: uint64(order.Uint16(b[10:])), body: b[pageHead:]}
	if p.id != 0 || p.flags != leafPage || order.Uint32(b[12:]) != 0 {
		return damage("a bucket within a page is none")
	}
	return v.leaf(p, nil, nil, depth)
}

// part gives n bytes of body, pos behind an element that begins at base.
func part(body []byte, base, pos, n uint64) ([]byte, bool) {
	from := base + pos
	if from > uint64(len(body)) || n > uint64(len(body))-from {
		return nil, false
	}
	return body[from : from+n], true
}
