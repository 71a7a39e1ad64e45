package lab

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// attr is a netlink attribute, see netlink(7) and struct nlattr.
type attr struct {
	typ   uint16 // without the NLA_F_NESTED and NLA_F_NET_BYTEORDER flags
	value []byte
}

// parseAttrs splits a sequence of attributes, which are in the machine's byte
// order and padded to four bytes.
func parseAttrs(b []byte) ([]attr, error) {
	const header, flags = 4, 0xc000
	var attrs []attr
	for len(b) > 0 {
		if len(b) < header {
			return nil, fmt.Errorf("netlink attribute: %d bytes left", len(b))
		}
		size := int(binary.NativeEndian.Uint16(b))
		if size < header || size > len(b) {
			return nil, fmt.Errorf("netlink attribute: length %d of %d", size, len(b))
		}
		attrs = append(attrs, attr{binary.NativeEndian.Uint16(b[2:]) &^ flags, b[header:size]})
		b = b[min((size+3)&^3, len(b)):]
	}
	return attrs, nil
}

// Attribute numbers from linux/pkt_sched.h and linux/pkt_cls.h.
const (
	htbInit   = 2
	u32Act    = 7
	u32Pcnt   = 9
	u32Mark   = 10
	basicAct  = 3
	basicPcnt = 5
	actKind   = 1
	actOption = 2
	actStats  = 4
	actTimes  = 1 // TCA_GACT_TM, TCA_MIRRED_TM, ...: all but police have it first
)

// describeOptions renders the options of a qdisc, class or filter without the
// counters that some kinds keep among them. What it does not know is hex.
func describeOptions(kind string, b []byte) string {
	attrs, err := parseAttrs(b)
	if err != nil || !slices.Contains([]string{"htb", "u32", "basic"}, kind) {
		return hex.EncodeToString(b) // also pfifo's, which are a plain struct
	}
	var parts []string
	for _, a := range attrs {
		switch {
		case kind == "u32" && a.typ == u32Pcnt, kind == "basic" && a.typ == basicPcnt:
			continue
		case kind == "u32" && a.typ == u32Act, kind == "basic" && a.typ == basicAct:
			parts = append(parts, fmt.Sprintf("%d=(%s)", a.typ, describeActions(a.value)))
		case kind == "htb" && a.typ == htbInit:
			parts = append(parts, attrText(a.typ, firstBytes(a.value, 16))) // then direct_pkts
		case kind == "u32" && a.typ == u32Mark:
			parts = append(parts, attrText(a.typ, firstBytes(a.value, 8))) // then success
		default:
			parts = append(parts, attrText(a.typ, a.value))
		}
	}
	return strings.Join(parts, " ")
}

// describeActions renders a filter's list of actions.
func describeActions(b []byte) string {
	list, err := parseAttrs(b)
	if err != nil {
		return hex.EncodeToString(b)
	}
	var parts []string
	for _, action := range list {
		attrs, err := parseAttrs(action.value)
		if err != nil {
			parts = append(parts, attrText(action.typ, action.value))
			continue
		}
		parts = append(parts, fmt.Sprintf("%d=(%s)", action.typ, describeAction(attrs)))
	}
	return strings.Join(parts, " ")
}

func describeAction(attrs []attr) string {
	var kind string
	var parts []string
	for _, a := range attrs {
		switch a.typ {
		case actKind:
			kind = strings.TrimRight(string(a.value), "\x00")
			parts = append(parts, fmt.Sprintf("%q", kind))
		case actOption:
			parts = append(parts, describeActionOptions(kind, a.value))
		case actStats:
		default:
			parts = append(parts, attrText(a.typ, a.value))
		}
	}
	return strings.Join(parts, " ")
}

func describeActionOptions(kind string, b []byte) string {
	attrs, err := parseAttrs(b)
	if err != nil {
		return hex.EncodeToString(b)
	}
	var parts []string
	for _, a := range attrs {
		if a.typ != actTimes || kind == "police" {
			parts = append(parts, attrText(a.typ, a.value))
		}
	}
	return strings.Join(parts, " ")
}

func attrText(typ uint16, value []byte) string {
	return fmt.Sprintf("%d=%s", typ, hex.EncodeToString(value))
}

func firstBytes(b []byte, n int) []byte { return b[:min(n, len(b))] }
