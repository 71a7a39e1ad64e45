package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"lifeline/watchdog/alert/incident"
)

// errNothingToSend says that a receiver's template writes nothing for an event: nothing
// was sent.
var errNothingToSend = errors.New("nothing to send")

// notifier speaks a receiver's language.
type notifier interface {
	// notify sends one event. It returns a *failure when the event is not
	// taken, and errNothing when there is nothing to send of it.
	notify(ctx context.Context, ev incident.Event) error
}

// reposter is a notifier that has something to send between events too.
type reposter interface {
	// repost does what is due and tells how long it has time until the next.
	repost(ctx context.Context, now time.Time) (wait time.Duration, err error)
	// held is how many alerts wait in it.
	held() int
}

// encoder makes a request's body of an event. A nil body is nothing to send.
type encoder func(incident.Event) (body []byte, contentType string, err error)

// webhookNotifier is the notifier of receivers that take every event by one request.
type webhookNotifier struct {
	client *client
	encode encoder
	render func() (encoder, error) // makes format, where that needs files; nil otherwise
}

func (p *webhookNotifier) notify(ctx context.Context, ev incident.Event) error {
	if p.encode == nil {
		f, err := p.render()
		if err != nil {
			return p.client.fail(retryAll, err)
		}
		p.encode = f
	}
	body, contentType, err := p.encode(ev)
	if f := (*deliveryError)(nil); errors.As(err, &f) {
		return f
	}
	if err != nil {
		return p.client.fail(refused, fmt.Errorf("format: %w", err))
	}
	if body == nil {
		return errNothingToSend
	}
	return p.client.post(ctx, request{id: ev.ID, body: body, contentType: contentType})
}

// newNotifier makes the notifier of a receiver; table keeps what Alertmanager was
// told.
func newNotifier(r Receiver, v secretStore, table *alertTable, now func() time.Time) notifier {
	c := &client{cfg: r, secrets: v, now: now}
	switch r.Type {
	case TypeAlertmanager:
		return &alertmanagerNotifier{client: c, alerts: table, now: now}
	case TypeWebhook:
		return &webhookNotifier{client: c, encode: webhookEncoder(r)}
	case TypePagerDuty:
		return &webhookNotifier{client: c, encode: pagerDutyEncoder(c)}
	case TypeSlack:
		return &webhookNotifier{client: c, encode: encodeSlack}
	case TypePing:
		return &pingNotifier{client: c}
	case TypeTemplate:
		return &webhookNotifier{client: c, render: func() (encoder, error) { return templateEncoder(r, v) }}
	}
	return &webhookNotifier{client: c, encode: encodeJSON}
}
