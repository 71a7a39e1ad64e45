package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"lifeline/configs"
	"lifeline/watchdog"
)

// The log tells once that a link is not there, and when it is; the status as
// long as it is so. A cycle in which links could not be seen says nothing.
func TestAbsentLinksAreTold(t *testing.T) {
	cfg, err := configs.Parse("x", []byte("[link.eht0]\negress = 'off'\n[link.eth0]\negress = 'off'\n"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	a := absentLinks{cfg: cfg, log: slog.New(slog.NewTextHandler(&log, nil))}
	eth0, eht0 := watchdog.Link{Name: "eth0"}, watchdog.Link{Name: "eht0"}
	for _, cycle := range []struct {
		links        []watchdog.Link
		said, logged int
		word         string
	}{
		{nil, 0, 0, ""},
		{[]watchdog.Link{eth0}, 1, 1, "level=WARN msg=\"settings for a link that is not there\" link=eht0"},
		{[]watchdog.Link{eth0}, 1, 0, ""},
		{[]watchdog.Link{eth0, eht0}, 0, 1, "level=INFO msg=\"the link that settings are for is there\" link=eht0"},
		{nil, 0, 0, ""},
		{[]watchdog.Link{eth0, eht0}, 0, 0, ""},
		{[]watchdog.Link{{Name: "lo"}}, 2, 2, "link=eth0"},
	} {
		log.Reset()
		s := watchdog.Snapshot{Links: cycle.links}
		if cycle.links == nil {
			s.Errors = []watchdog.ProbeError{{Probe: "nic", Err: "no permission"}}
		}
		said := a.look(s)
		if len(said) != cycle.said || strings.Count(log.String(), "\n") != cycle.logged || !strings.Contains(log.String(), cycle.word) {
			t.Errorf("with %v: %q, log:\n%s", cycle.links, said, &log)
		}
	}
	none := absentLinks{cfg: configs.Default()}
	if said := none.look(watchdog.Snapshot{Links: []watchdog.Link{eth0}}); said != nil {
		t.Errorf("without a table: %q", said)
	}
}
