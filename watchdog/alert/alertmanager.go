package alert

import (
	"context"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"time"
)

// mostPerPost bounds one request to Alertmanager.
const mostPerPost = 64

// alertmanager is a sender for Alertmanager's API v2. Alertmanager tells nobody
// of an alert that was over before its first notification, so the end is held
// until the longest time to that has passed since the alert was accepted; the
// true end is in an annotation.
type alertmanager struct {
	client *client
	table  *table
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
func (a *alertmanager) firing(p posted, now time.Time) postable {
	return postable{p.Labels, p.Annotations, p.StartsAt, now.Add(liveFor * a.table.resend).UTC()}
}

func (a *alertmanager) deliver(ctx context.Context, ev Event) error {
	now := a.now().UTC()
	if ev.Kind == Heartbeat {
		return a.beat(ctx, ev, now)
	}
	fire, changed := a.table.take(a.client.cfg, ev, now)
	if len(a.table.alerts)+len(fire) > mostPosted {
		return &failure{fate: another, msg: "too many alerts are held for this Alertmanager; waiting for some to end"}
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
	a.table.keep(changed)
	return nil
}

// beat posts an alert that always fires; it ends when the heart stops.
func (a *alertmanager) beat(ctx context.Context, ev Event, now time.Time) error {
	c := notice(ev)
	live := max(liveFor*a.table.resend, 3*a.client.cfg.Heartbeat)
	return a.post(ctx, ev.ID, []postable{{labelsOf(a.client.cfg, ev, c), annotationsOf(ev, c), c.Since, now.Add(live).UTC()}})
}

func (a *alertmanager) held() int { return a.table.held() }

// attend posts what is due: firing alerts again, ends that were held.
func (a *alertmanager) attend(ctx context.Context, now time.Time) (time.Duration, error) {
	due, wait := a.table.duties(now)
	changed := map[string]posted{}
	for fp, d := range due {
		if d == forget {
			changed[fp] = posted{}
			delete(due, fp)
		}
	}
	a.table.keep(changed)
	if len(due) == 0 {
		return wait, nil
	}
	for fps := range slices.Chunk(a.table.inOrder(slices.Collect(maps.Keys(due))), mostPerPost) {
		if err := a.attendTo(ctx, fps, due, now); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// attendTo posts some of the alerts for which something is due.
func (a *alertmanager) attendTo(ctx context.Context, fps []string, due map[string]duty, now time.Time) error {
	changed := map[string]posted{}
	var posts []postable
	for _, fp := range fps {
		p := a.table.alerts[fp]
		p.Last = now.UTC()
		if p.Accepted.After(now) { // the clock was set back
			p.Accepted = p.Last
		}
		if p.Resolved.After(now) {
			p.Resolved = p.Last
		}
		post := a.firing(p, now)
		if due[fp] == resolve {
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
	a.table.keep(changed)
	return nil
}

func (a *alertmanager) post(ctx context.Context, id string, alerts []postable) error {
	body, err := json.Marshal(alerts)
	if err != nil {
		return a.client.fail(refused, err)
	}
	return a.client.do(ctx, request{
		url: func(base *url.URL) *url.URL { return base.JoinPath("api/v2/alerts") },
		id:  id, body: body, contentType: jsonType,
	})
}
