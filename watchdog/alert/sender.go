package alert

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"lifeline/watchdog"
)

// errNothing says that a receiver's template writes nothing for an event: nothing
// was sent.
var errNothing = errors.New("nothing to send")

// sender speaks a receiver's language.
type sender interface {
	// deliver sends one event. It returns a *failure when the event is not
	// taken, and errNothing when there is nothing to send of it.
	deliver(ctx context.Context, ev Event) error
}

// attendant is a sender that has things to do between events too.
type attendant interface {
	// attend does what is due and tells how long it has time until the next.
	attend(ctx context.Context, now time.Time) (wait time.Duration, err error)
	// held is how many alerts wait in it.
	held() int
}

// format makes a request's body of an event. A nil body is nothing to send.
type format func(Event) (body []byte, contentType string, err error)

// poster is a sender for receivers that take every event by one request.
type poster struct {
	client *client
	format format
	render func() (format, error) // makes format, where that needs files; nil otherwise
}

func (p *poster) deliver(ctx context.Context, ev Event) error {
	if p.format == nil {
		f, err := p.render()
		if err != nil {
			return p.client.fail(later, err)
		}
		p.format = f
	}
	body, contentType, err := p.format(ev)
	if f := (*failure)(nil); errors.As(err, &f) {
		return f
	}
	if err != nil {
		return p.client.fail(refused, fmt.Errorf("format: %w", err))
	}
	if body == nil {
		return errNothing
	}
	return p.client.do(ctx, request{id: ev.ID, body: body, contentType: contentType})
}

// newSender makes the sender of a receiver; table keeps what Alertmanager was
// told.
func newSender(r Receiver, v vault, table *table, now func() time.Time) sender {
	c := &client{cfg: r, vault: v, now: now}
	switch r.Type {
	case TypeAlertmanager:
		return &alertmanager{client: c, table: table, now: now}
	case TypeWebhook:
		return &poster{client: c, format: webhookFormat(r)}
	case TypePagerDuty:
		return &poster{client: c, format: pagerDutyFormat(c)}
	case TypeSlack:
		return &poster{client: c, format: slackFormat}
	case TypePing:
		return &pinger{client: c}
	case TypeTemplate:
		return &poster{client: c, render: func() (format, error) { return templateFormat(r, v) }}
	}
	return &poster{client: c, format: jsonFormat}
}

// pinger is a dead-man's switch, as healthchecks.io has them: it sends
// heartbeats and nothing else. A critical one goes to the path "/fail"
// (https://healthchecks.io/docs/http_api/).
type pinger struct{ client *client }

func (p *pinger) deliver(ctx context.Context, ev Event) error {
	if ev.Kind != Heartbeat {
		return nil
	}
	r := request{id: ev.ID}
	if ev.Severity == watchdog.Critical {
		r.url = func(base *url.URL) *url.URL { return base.JoinPath("fail") }
	}
	if p.client.cfg.Method != "GET" {
		r.body, r.contentType = []byte(ev.Summary+"\n"), "text/plain; charset=utf-8"
	}
	return p.client.do(ctx, r)
}
