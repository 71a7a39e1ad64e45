package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"lifeline/watchdog"
)

// Kind is what was changed.
type Kind string

// The changes that Lifeline makes, by the way in which they are undone.
const (
	Window   Kind = "window"   // TCP_WINDOW_CLAMP of a socket
	Pacing   Kind = "pacing"   // SO_MAX_PACING_RATE of a socket
	Priority Kind = "priority" // SO_PRIORITY of a socket
	Buffer   Kind = "buffer"   // SO_RCVBUF of a socket
	Autotune Kind = "autotune" // SO_BUF_LOCK of a socket: its receive buffer is not tuned by the kernel
	Pause    Kind = "pause"    // SIGSTOP of a process
	Qdisc    Kind = "qdisc"    // a qdisc on a link, also ingress and clsact
	Class    Kind = "class"    // a class of a qdisc
	Filter   Kind = "filter"   // a filter on a qdisc
	IFB      Kind = "ifb"      // a link of kind ifb
	Bursts   Kind = "bursts"   // net.ipv4.tcp_tso_rtt_log of a network namespace
)

// kinds are all that this version can undo.
var kinds = []Kind{Window, Pacing, Priority, Buffer, Autotune, Pause, Qdisc, Class, Filter, IFB, Bursts}

// TC names one traffic-control object or link of ours: enough to find it again,
// to see that it still is ours, and to delete it.
type TC struct {
	Link   int    `json:"link"`             // ifindex
	Name   string `json:"name"`             // of the link when the object was made
	Kind   string `json:"kind"`             // htb, ingress, clsact, fq_codel, u32, ifb ...
	Handle uint32 `json:"handle,omitempty"` // of the object: major<<16|minor
	Parent uint32 `json:"parent,omitempty"`
	Prio   uint16 `json:"prio,omitempty"`  // of a filter
	Proto  uint16 `json:"proto,omitempty"` // of a filter, ETH_P_*
}

// Entry is one change and what is needed to undo it. Which fields are set
// depends on Kind.
type Entry struct {
	Kind     Kind                `json:"kind"`
	Transfer watchdog.TransferID `json:"transfer,omitempty"`
	Socket   watchdog.Socket     `json:"socket,omitzero"` // Window, Pacing, Priority, Buffer, Autotune
	Was      int                 `json:"was,omitempty"`   // Priority: the application's last value; Buffer: bytes; Bursts: the setting
	Set      int                 `json:"set,omitempty"`   // Priority, Bursts: ours; undone only while it stands
	Netns    uint64              `json:"netns,omitempty"` // Bursts: inode of the network namespace
	Proc     watchdog.ProcID     `json:"proc,omitzero"`   // Pause
	Parents  []watchdog.ProcID   `json:"parents,omitempty"`
	TC       TC                  `json:"tc,omitzero"` // Qdisc, Class, Filter, IFB
	Foreign  *Foreign            `json:"-"`           // nil for a change that this version knows
}

// Foreign is a change as another version wrote it, which this one cannot undo.
// It stays in the ledger as it is.
type Foreign struct {
	Key string
	Raw json.RawMessage
}

type plainEntry Entry

// UnmarshalJSON reads an entry; one that is not understood becomes a Foreign one.
func (e *Entry) UnmarshalJSON(b []byte) error {
	var p plainEntry
	if err := json.Unmarshal(b, &p); err != nil || !slices.Contains(kinds, p.Kind) {
		p = plainEntry{Kind: p.Kind, Foreign: &Foreign{Raw: bytes.Clone(b)}}
	}
	*e = Entry(p)
	return nil
}

// MarshalJSON writes an entry; a Foreign one as it was read.
func (e Entry) MarshalJSON() ([]byte, error) {
	if e.Foreign != nil {
		return e.Foreign.Raw, nil
	}
	return json.Marshal(plainEntry(e))
}

// Key names the thing that was changed: a later entry with the same key takes
// the place of the earlier one. It does not depend on how it was changed.
func (e Entry) Key() string {
	if e.Foreign != nil {
		return e.Foreign.Key
	}
	switch e.Kind {
	case Window, Pacing, Priority, Buffer, Autotune:
		return fmt.Sprintf("%s:%d:%d", e.Kind, e.Socket.Netns, e.Socket.Inode)
	case Pause:
		return fmt.Sprintf("%s:%s", e.Kind, e.Proc)
	case Bursts:
		return fmt.Sprintf("%s:%d", e.Kind, e.Netns)
	default:
		t := e.TC
		return fmt.Sprintf("%s:%d:%s:%s:%x:%x:%d:%d", e.Kind, t.Link, t.Name, t.Kind, t.Handle, t.Parent, t.Prio, t.Proto)
	}
}

// String is the change in words, for reports.
func (e Entry) String() string {
	if e.Foreign != nil {
		return fmt.Sprintf("change of kind %q", string(e.Kind))
	}
	switch e.Kind {
	case Window, Pacing, Priority, Buffer, Autotune:
		return fmt.Sprintf("%s of transfer %s (%s -> %s)", e.Kind, e.Transfer, e.Socket.Local, e.Socket.Remote)
	case Pause:
		return fmt.Sprintf("pause of process %d of transfer %s", e.Proc.PID, e.Transfer)
	case Bursts:
		return fmt.Sprintf("net.ipv4.tcp_tso_rtt_log (%d, before %d)", e.Set, e.Was)
	case IFB:
		return fmt.Sprintf("link %s (ifb)", e.TC.Name)
	default:
		t := e.TC
		return fmt.Sprintf("%s %s %x:%x on link %s", e.Kind, t.Kind, t.Handle>>16, t.Handle&0xffff, t.Name)
	}
}
