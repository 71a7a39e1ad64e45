package daemon

import (
	"encoding/json"
	"testing"
)

// A run that could not read what earlier ones knew adds to it.
func TestJoinFacts(t *testing.T) {
	const way = `"way":{"link":"eth0"}`
	for _, c := range []struct{ name, before, now, want string }{
		{capacitiesFact, `{"eth0 rx":1,"eth1 tx":2}`, `{"eth0 rx":3}`, `{"eth0 rx":3,"eth1 tx":2}`},
		{capacitiesFact, `null`, `{"eth0 rx":3}`, `{"eth0 rx":3}`},
		{capacitiesFact, `[]`, `{"eth0 rx":3}`, `{"eth0 rx":3}`},
		{pathsFact,
			`{"bases":[{"target":"192.0.2.1",` + way + `,"base":5,"queues":false,"learnt":"2026-01-01T00:00:00Z"},` +
				`{"target":"192.0.2.2",` + way + `,"base":6,"queues":true,"learnt":"2026-01-01T00:00:00Z"}],` +
				`"peers":[{"addr":"192.0.2.8","seen":"2026-01-01T00:00:00Z"},{"addr":"192.0.2.9","seen":"2026-01-01T00:00:00Z"}]}`,
			`{"bases":[{"target":"192.0.2.1",` + way + `,"base":7,"queues":false,"learnt":"2026-02-02T00:00:00Z"}],` +
				`"peers":[{"addr":"192.0.2.9","seen":"2026-02-02T00:00:00Z"}]}`,
			`{"bases":[{"target":"192.0.2.1",` + way + `,"base":7,"queues":false,"learnt":"2026-02-02T00:00:00Z"},` +
				`{"target":"192.0.2.2",` + way + `,"base":6,"queues":true,"learnt":"2026-01-01T00:00:00Z"}],` +
				`"peers":[{"addr":"192.0.2.9","seen":"2026-02-02T00:00:00Z"},{"addr":"192.0.2.8","seen":"2026-01-01T00:00:00Z"}]}`},
	} {
		if got := joinFacts(c.name, json.RawMessage(c.before), json.RawMessage(c.now)); string(got) != c.want {
			t.Errorf("%s with %s: got\n%s\nwant\n%s", c.before, c.now, got, c.want)
		}
	}
}
