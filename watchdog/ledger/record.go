package ledger

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"strconv"

	"lifeline/watchdog"
)

// Version of the file format, in the header.
const Version = 1

// Identity says whose ledger it is. The undo of another boot is void; traffic
// control can only be undone from its own network namespace.
type Identity struct {
	Boot   string          `json:"boot"`   // /proc/sys/kernel/random/boot_id
	Netns  uint64          `json:"netns"`  // inode of the network namespace
	Daemon watchdog.ProcID `json:"daemon"` // who writes, and is killed before somebody else undoes
}

// header is the first record of a file.
type header struct {
	Version int `json:"lifeline_ledger"`
	Identity
}

// record is one line: a header, a change with its key, or the keys of undone
// changes. The key is written for versions that do not know the kind.
type record struct {
	Header *header  `json:"header,omitempty"`
	Do     *Entry   `json:"do,omitempty"`
	Key    string   `json:"key,omitempty"`
	Done   []string `json:"done,omitempty"`
}

func doRecord(e Entry) record { return record{Do: &e, Key: e.Key()} }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

const checksumLen = 8 // hexadecimal digits

// appendRecord appends r as a line "CRC32C JSON\n". The checksum is over the JSON.
func appendRecord(b []byte, r record) ([]byte, error) {
	j, err := json.Marshal(r)
	if err != nil {
		return b, fmt.Errorf("encode ledger record: %w", err)
	}
	b = fmt.Appendf(b, "%08x ", crc32.Checksum(j, castagnoli))
	return append(append(b, j...), '\n'), nil
}

// parseRecord reads one line without its newline.
func parseRecord(line []byte) (record, error) {
	var r record
	if len(line) < checksumLen+1 || line[checksumLen] != ' ' {
		return r, fmt.Errorf("no checksum")
	}
	want, err := strconv.ParseUint(string(line[:checksumLen]), 16, 32)
	if err != nil {
		return r, fmt.Errorf("checksum: %w", err)
	}
	body := line[checksumLen+1:]
	if got := crc32.Checksum(body, castagnoli); got != uint32(want) {
		return r, fmt.Errorf("checksum %08x, want %08x", got, want)
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return record{}, fmt.Errorf("decode: %w", err)
	}
	return r, nil
}

// State is what a sequence of records amounts to. The zero value is empty.
type State struct {
	Identity Identity
	Known    bool     // a header of our version was read
	Damage   []string // lines that could not be read; what they said is lost
	order    []string
	live     map[string]Entry
	dead     int // records that no longer matter
	lines    int
}

// Live lists the changes that are not undone, oldest first.
func (s *State) Live() []Entry {
	s.prune() // a change that was undone and made again is one change
	out := make([]Entry, 0, len(s.live))
	for _, k := range s.order {
		out = append(out, s.live[k])
	}
	return out
}

// LiveIn lists those of them that this boot may still have: a reboot undoes
// everything, and a lost header is no proof of one.
func (s *State) LiveIn(boot string) []Entry {
	if s.Known && s.Identity.Boot != boot {
		return nil
	}
	return s.Live()
}

// Len is the number of changes that are not undone.
func (s *State) Len() int { return len(s.live) }

// Add takes one line, without its newline. A line that cannot be read is
// noted in Damage and otherwise skipped.
func (s *State) Add(line []byte) {
	s.lines++
	r, err := parseRecord(line)
	if err != nil {
		s.Damage = append(s.Damage, fmt.Sprintf("line %d: %v", s.lines, err))
		return
	}
	s.apply(r)
}

func (s *State) apply(r record) {
	switch {
	case r.Header != nil && r.Header.Version != Version:
		s.Damage = append(s.Damage, fmt.Sprintf("line %d: format version %d, this program writes %d", s.lines, r.Header.Version, Version))
	case r.Header != nil: // a new header starts a new snapshot
		*s = State{Identity: r.Header.Identity, Known: true, Damage: s.Damage, lines: s.lines}
	case r.Do != nil:
		if f := r.Do.Foreign; f != nil {
			f.Key = cmp.Or(r.Key, fmt.Sprintf("%s:%08x", r.Do.Kind, crc32.Checksum(f.Raw, castagnoli)))
		}
		s.do(*r.Do)
	case r.Done != nil:
		s.done(r.Done)
	default:
		s.Damage = append(s.Damage, fmt.Sprintf("line %d: a record that this version does not know", s.lines))
	}
}

func (s *State) do(e Entry) {
	if s.live == nil {
		s.live = map[string]Entry{}
	}
	k := e.Key()
	if _, ok := s.live[k]; ok {
		s.dead++
	} else {
		s.order = append(s.order, k)
	}
	s.live[k] = e
}

func (s *State) done(keys []string) {
	for _, k := range keys {
		if _, ok := s.live[k]; !ok {
			continue
		}
		delete(s.live, k)
		s.dead += 2
	}
	if len(s.order) > 2*len(s.live)+16 {
		s.prune()
	}
}

// prune drops undone keys from order. A key that was done and is made again
// stands twice there: the last place counts.
func (s *State) prune() {
	last := make(map[string]int, len(s.order))
	for i, k := range s.order {
		last[k] = i
	}
	kept := s.order[:0]
	for i, k := range s.order {
		if _, ok := s.live[k]; ok && last[k] == i {
			kept = append(kept, k)
		}
	}
	s.order = kept
}

// parse reads a whole file. A last line without a newline is a write that was
// cut short: the change that it announced was never made, so it is ignored.
func parse(b []byte) State {
	var s State
	for len(b) > 0 {
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		if whole {
			s.Add(line)
		}
		b = rest
	}
	return s
}

// encode is a file of its own: the header and the live changes.
func (s *State) encode(b []byte) ([]byte, error) {
	b, err := appendRecord(b, record{Header: &header{Version, s.Identity}})
	if err != nil {
		return nil, err
	}
	for _, e := range s.Live() {
		if b, err = appendRecord(b, doRecord(e)); err != nil {
			return nil, err
		}
	}
	return b, nil
}
