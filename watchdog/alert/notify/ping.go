package notify

import (
	"context"
	"net/url"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
)

// pingNotifier is a dead-man's switch, as healthchecks.io has them: it sends
// heartbeats and nothing else. A critical one goes to the path "/fail"
// (https://healthchecks.io/docs/http_api/).
type pingNotifier struct{ client *client }

func (p *pingNotifier) notify(ctx context.Context, ev incident.Event) error {
	if ev.Kind != incident.Heartbeat {
		return nil
	}
	r := request{id: ev.ID}
	if ev.Severity == watchdog.Critical {
		r.url = func(base *url.URL) *url.URL { return base.JoinPath("fail") }
	}
	if p.client.cfg.Method != "GET" {
		r.body, r.contentType = []byte(ev.Summary+"\n"), "text/plain; charset=utf-8"
	}
	return p.client.post(ctx, r)
}
