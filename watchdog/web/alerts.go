package web

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"lifeline/watchdog/alert"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/alert/spool"
)

// Alerts is how alerting does, with what receivers refused and what is silenced.
type Alerts struct {
	Status      alert.Status       `json:"status"`
	DeadLetters []spool.DeadLetter `json:"dead_letters"`
	Silences    []incident.Silence `json:"silences"`
}

// SilenceRequest asks for a silence from now on.
type SilenceRequest struct {
	Silence incident.Silence `json:"silence"`
	Lasts   time.Duration    `json:"lasts"` // ns
}

// ResendRequest names what is to be sent again; empty is all.
type ResendRequest struct {
	Receiver string `json:"receiver"`
	Event    string `json:"event"`
}

// errNoAlerts means that the alerts of this daemon could not be opened.
var errNoAlerts = errors.New("alerting is not at work: see the daemon's log")

// handleAlerts adds what concerns alerts:
//
//	GET  /v1/alerts                    Alerts
//	POST /v1/alerts/test?receiver=NAME id of the test incident
//	GET  /v1/alerts/test/ID            what receivers answered to it so far
//	POST /v1/alerts/resend             ResendRequest, the number of events
//	POST /v1/alerts/silence            SilenceRequest, the silence
//	POST /v1/alerts/silence/ID/end     true; "all" ends all
//	GET  /v1/incidents?n=N             incidents, youngest first, without their timelines
//	GET  /v1/incidents/ID              one incident
func (a API) handleAlerts(mux *http.ServeMux) {
	serve := func(pattern string, f func(*http.Request) (any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if a.Alerts == nil {
				refuse(w, http.StatusServiceUnavailable, errNoAlerts)
				return
			}
			v, err := f(r)
			switch {
			case errors.Is(err, spool.ErrNoIncident), errors.Is(err, alert.ErrNoReceiver), errors.Is(err, alert.ErrNoSilence):
				refuse(w, http.StatusNotFound, err)
			case errors.Is(err, spool.ErrAmbiguous):
				refuse(w, http.StatusConflict, err)
			case err != nil:
				refuse(w, http.StatusBadRequest, err)
			default:
				answer(w, v)
			}
		})
	}
	serve("GET /v1/alerts", func(*http.Request) (any, error) {
		dead, err := a.Alerts.DeadLetters("")
		return Alerts{a.Alerts.Status(), dead, a.Alerts.Silences()}, err
	})
	serve("POST /v1/alerts/test", func(r *http.Request) (any, error) { return a.Alerts.Test(r.URL.Query().Get("receiver")) })
	serve("GET /v1/alerts/test/{id}", func(r *http.Request) (any, error) { return a.Alerts.Answers(r.PathValue("id")) })
	serve("POST /v1/alerts/resend", func(r *http.Request) (any, error) {
		var q ResendRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			return nil, err
		}
		return a.Alerts.Resend(q.Receiver, q.Event)
	})
	serve("POST /v1/alerts/silence", func(r *http.Request) (any, error) {
		var q SilenceRequest
		if err := json.NewDecoder(r.Body).Decode(&q); err != nil {
			return nil, err
		}
		return a.Alerts.Silence(q.Silence, q.Lasts)
	})
	serve("POST /v1/alerts/silence/{id}/end", func(r *http.Request) (any, error) { return true, a.Alerts.Unsilence(r.PathValue("id")) })
	serve("GET /v1/incidents", func(r *http.Request) (any, error) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil {
			return nil, err
		}
		return a.Alerts.History(n)
	})
	serve("GET /v1/incidents/{id}", func(r *http.Request) (any, error) { return a.Alerts.Explain(r.PathValue("id")) })
}

// Alerts asks how alerting does.
func (c *Client) Alerts(ctx context.Context) (out Alerts, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/alerts", nil, &out)
	return out, err
}

// TestAlert has a test alert sent to one receiver, or with an empty name to all,
// and gives its incident's id. It does not wait for their answers.
func (c *Client) TestAlert(ctx context.Context, receiver string) (id string, err error) {
	err = c.do(ctx, http.MethodPost, "/v1/alerts/test?receiver="+url.QueryEscape(receiver), nil, &id)
	return id, err
}

// TestAnswers gives what receivers answered so far to a test alert.
func (c *Client) TestAnswers(ctx context.Context, id string) (out []notify.Answer, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/alerts/test/"+url.PathEscape(id), nil, &out)
	return out, err
}

// Resend puts back into the queues what was refused, and tells how many events.
func (c *Client) Resend(ctx context.Context, q ResendRequest) (n int, err error) {
	err = c.do(ctx, http.MethodPost, "/v1/alerts/resend", q, &n)
	return n, err
}

// Silence asks for a silence and gives it with its id.
func (c *Client) Silence(ctx context.Context, q SilenceRequest) (s incident.Silence, err error) {
	err = c.do(ctx, http.MethodPost, "/v1/alerts/silence", q, &s)
	return s, err
}

// Unsilence ends a silence, or with the id "all" every one.
func (c *Client) Unsilence(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodPost, "/v1/alerts/silence/"+url.PathEscape(id)+"/end", nil, nil)
}

// History lists the last n incidents, youngest first.
func (c *Client) History(ctx context.Context, n int) (out []incident.Incident, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/incidents?n="+strconv.Itoa(n), nil, &out)
	return out, err
}

// Explain asks for one incident.
func (c *Client) Explain(ctx context.Context, id string) (out incident.Incident, err error) {
	err = c.do(ctx, http.MethodGet, "/v1/incidents/"+url.PathEscape(id), nil, &out)
	return out, err
}
