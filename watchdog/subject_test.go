package watchdog

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"
)

// The text form is what status, alerts and silences have always shown, and with the
// name of its condition it gives the subject back.
func TestSubjectText(t *testing.T) {
	for _, c := range []struct {
		of   ConditionName
		s    Subject
		text string
	}{
		{LinkSaturated, DirectionSubject("eth0", Rx), "eth0 rx"},
		{NotOurQueue, DirectionSubject("eth0.3", Tx), "eth0.3 tx"},
		{Unprotected, DirectionSubject("", Rx), "unknown link rx"},
		{Unprotected, Subject{}, "host"},
		{LinkDown, LinkSubject("eth0"), "eth0"},
		{LinkErrors, LinkSubject("rx"), "rx"},
		{ManagementUnreachable, Subject{}, "host"},
		{RebootUnsafe, Subject{}, "host"},
		{ManagementPeerSilent, TargetSubject(netip.MustParseAddr("192.0.2.1")), "192.0.2.1"},
		{TargetContradicted, TargetSubject(netip.MustParseAddr("fe80::1%eth0")), "fe80::1%eth0"},
		{ProbeBlind, ProbeSubject("rsync: sockets"), "rsync: sockets"},
		{ProbeBlind, ProbeSubject("host"), "host"},
		{RemedyFailed, RemedySubject("small-bursts"), "small-bursts"},
	} {
		if got := c.s.String(); got != c.text {
			t.Errorf("%+v: %q, want %q", c.s, got, c.text)
		}
		if got := ParseSubject(c.of, c.text); got != c.s {
			t.Errorf("%s %q: %+v, want %+v", c.of, c.text, got, c.s)
		}
	}
}

func TestConditionJSON(t *testing.T) {
	c := Condition{Name: LinkSaturated, Subject: DirectionSubject("eth0", Tx), Severity: Warning, Since: time.Unix(1, 0).UTC(), Evidence: "much"}
	b, err := json.Marshal(c)
	const want = `{"name":"LinkSaturated","subject":"eth0 tx","severity":"warning","since":"1970-01-01T00:00:01Z","evidence":"much"}`
	if err != nil || string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}
	var got Condition
	if err := json.Unmarshal(b, &got); err != nil || got != c {
		t.Errorf("read again: %+v, %v", got, err)
	}
}
