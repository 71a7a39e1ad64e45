package notify

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"time"

	"lifeline/watchdog/alert/incident"
)

// maxPerPost bounds one request to Alertmanager.
const maxPerPost = 64

// alertmanagerNotifier is the notifier for Alertmanager's API v2. Alertmanager tells nobody
// of an alert that was over before its first notification, so the end is held
// until the longest time to that has passed since the alert was accepted; the
// true end is in an annotation.
type alertmanagerNotifier struct {
	client *client
	alerts *alertTable
	now    func() time.Time
}

// postable is an alert as the API takes it.
type postable struct {
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
}

// firing is the alert as going on.
func (a *alertmanagerNotifier) firing(p postedAlert, now time.Time) postable {
	return postable{p.Labels, p.Annotations, p.StartsAt, now.Add(liveFor * a.alerts.resend).UTC()}
}

func (a *alertmanagerNotifier) notify(ctx context.Context, ev incident.Event) error {
	now := a.now().UTC()
	if ev.Kind == incident.Heartbeat {
		return a.beat(ctx, ev, now)
	}
	fire, changed := a.alerts.apply(a.client.cfg, ev, now)
	if len(a.alerts.alerts)+len(fire) > maxPosted {
		return &deliveryError{verdict: retryEvent, msg: "too many alerts are held for this Alertmanager; waiting for some to end"}
	}
	var posts []postable
	for _, fp := range fire {
		posts = append(posts, a.firing(changed[fp], now))
	}
	if len(posts) > 0 {
		if err := a.post(ctx, ev.ID, posts); err != nil {
			return err
		}
		accepted := a.now().UTC()
		for _, fp := range fire {
			if p := changed[fp]; p.Accepted.Equal(now) {
				p.Accepted, p.Last = accepted, accepted
				changed[fp] = p
			}
		}
	}
	a.alerts.keep(changed)
	return nil
}

// beat posts an alert that always fires; it ends when the heart stops.
func (a *alertmanagerNotifier) beat(ctx context.Context, ev incident.Event, now time.Time) error {
	c := notice(ev)
	live := max(liveFor*a.alerts.resend, 3*a.client.cfg.Heartbeat.Duration)
	return a.post(ctx, ev.ID, []postable{{labelsOf(a.client.cfg, ev, c), annotationsOf(ev, c), c.Since, now.Add(live).UTC()}})
}

func (a *alertmanagerNotifier) held() int { return a.alerts.held() }

// repost posts what is due: firing alerts again, ends that were held.
func (a *alertmanagerNotifier) repost(ctx context.Context, now time.Time) (time.Duration, error) {
	due, wait := a.alerts.dueActions(now)
	changed := map[string]postedAlert{}
	for fp, d := range due {
		if d == forgetAlert {
			changed[fp] = postedAlert{}
			delete(due, fp)
		}
	}
	a.alerts.keep(changed)
	if len(due) == 0 {
		return wait, nil
	}
	for fps := range slices.Chunk(a.alerts.inOrder(slices.Collect(maps.Keys(due))), maxPerPost) {
		if err := a.repostSome(ctx, fps, due, now); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// repostSome posts some of the alerts for which something is due.
func (a *alertmanagerNotifier) repostSome(ctx context.Context, fps []string, due map[string]action, now time.Time) error {
	changed := map[string]postedAlert{}
	var posts []postable
	for _, fp := range fps {
		p := a.alerts.alerts[fp]
		p.Last = now.UTC()
		if p.Accepted.After(now) { // the clock was set back
			p.Accepted = p.Last
		}
		if p.Resolved.After(now) {
			p.Resolved = p.Last
		}
		post := a.firing(p, now)
		if due[fp] == repostResolved {
			if p.Resolved.IsZero() {
				p.Resolved = now.UTC()
			}
			post.EndsAt = p.Resolved
		}
		changed[fp] = p
		posts = append(posts, post)
	}
	if err := a.post(ctx, "repost-"+fps[0], posts); err != nil {
		return err
	}
	a.alerts.keep(changed)
	return nil
}

func (a *alertmanagerNotifier) post(ctx context.Context, id string, alerts []postable) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return a.client.fail(refused, err)
	}
	return a.client.post(ctx, request{
		url: func(base *url.URL) *url.URL { return base.JoinPath("api/v2/alerts") },
		id:  id, body: body, contentType: jsonType,
	})
}
