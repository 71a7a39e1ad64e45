package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"lifeline/watchdog/alert/incident"
)

const (
	dialTimeout    = 5 * time.Second
	idleTimeout    = 30 * time.Second
	answerTime     = 500 * time.Millisecond // for the rest of an answer, so that the connection can be used again
	maxAnswer      = 4 << 10                // of a body, read
	maxAnswerShown = 200                    // of a body, shown
	maxHeaders     = 64 << 10
	maxRedirects   = 5
)

// client sends requests to one receiver, as configured. Its errors hold no
// secret.
type client struct {
	cfg     Receiver
	secrets secretStore
	now     func() time.Time
	http    *http.Client // nil until the first request, and after a failure of the network
	hidden  redactor     // secrets seen so far
}

// request is what is to be sent.
type request struct {
	url         func(base *url.URL) *url.URL // nil: the configured one
	id          string                       // of the event, for the signature
	body        []byte
	contentType string
}

// post makes one attempt. Errors are *failure.
func (c *client) post(ctx context.Context, r request) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout.Duration)
	defer cancel()
	req, err := c.build(ctx, r)
	if err == nil && c.http == nil {
		c.http, err = c.newHTTPClient()
	}
	if err != nil {
		return c.fail(retryAll, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.close() // its certificates may be new by the next attempt
		return c.fail(retryAll, withoutURL(err))
	}
	said := readAnswer(resp.Body, cancel)
	if err := checkResponse(resp, incident.Clip(c.hidden.redact(said), maxAnswerShown), c.now()); err != nil {
		return err
	}
	return nil
}

// fail makes a failure of an error.
func (c *client) fail(f verdict, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", c.cfg.Timeout.Duration)
	}
	return &deliveryError{verdict: f, msg: incident.Clip(c.hidden.redact(err.Error()), incident.MaxText)}
}

// readAnswer reads a little of a body, for a short time, closes it and gives it as
// one line. An answer whose head has come is an answer,
// whatever its body does.
func readAnswer(body io.ReadCloser, cancel context.CancelFunc) string {
	stop := time.AfterFunc(answerTime, cancel)
	defer stop.Stop()
	b, _ := io.ReadAll(io.LimitReader(body, maxAnswer)) // what came is enough
	body.Close()
	text := strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return ' '
		}
		return c
	}, string(b))
	return strings.Join(strings.Fields(text), " ")
}

// close lets go of the connections.
func (c *client) close() {
	if c.http != nil {
		c.http.CloseIdleConnections()
		c.http = nil
	}
}

// build makes the request, with secrets read anew.
func (c *client) build(ctx context.Context, r request) (*http.Request, error) {
	u, err := c.base()
	if err != nil {
		return nil, err
	}
	if r.url != nil {
		u = r.url(u)
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, c.cfg.Method, u.String(), body)
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("User-Agent", "Lifeline")
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	if err := c.authenticate(req); err != nil {
		return nil, err
	}
	if len(c.cfg.SigningFiles) > 0 {
		keys, err := c.keys()
		if err != nil {
			return nil, err
		}
		sign(req.Header, r.id, c.now(), r.body, keys)
	}
	return req, nil
}

// base is the configured URL.
func (c *client) base() (*url.URL, error) {
	s := c.cfg.URL
	if c.cfg.URLFile != "" {
		var err error
		if s, err = c.secrets.word(c.cfg.URLFile); err != nil {
			return nil, err
		}
		c.hidden.hide(s)
	}
	u, err := parseURL(s)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	c.hidden.hideURL(u)
	return u, nil
}

// authenticate sets the headers that are configured.
func (c *client) authenticate(req *http.Request) error {
	set := func(k, v string) {
		if len(v) >= minSecret {
			c.hidden.hide(v)
		}
		if http.CanonicalHeaderKey(k) == "Host" {
			req.Host = v
			return
		}
		req.Header.Set(k, v)
	}
	for k, v := range c.cfg.Headers {
		set(k, v)
	}
	for k, file := range c.cfg.HeaderFiles {
		v, err := c.secrets.word(file)
		if err != nil {
			return err
		}
		c.hidden.hide(v)
		set(k, v)
	}
	switch {
	case c.cfg.BasicUser != "":
		pass, err := c.secrets.word(c.cfg.BasicPassFile)
		if err != nil {
			return err
		}
		c.hidden.hide(pass)
		req.SetBasicAuth(c.cfg.BasicUser, pass)
		c.hidden.hide(strings.TrimPrefix(req.Header.Get("Authorization"), "Basic "))
	case c.cfg.BearerFile != "":
		token, err := c.secrets.word(c.cfg.BearerFile)
		if err != nil {
			return err
		}
		c.hidden.hide(token)
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}

// keys reads the signing keys.
func (c *client) keys() (keys [][]byte, err error) {
	for _, file := range c.cfg.SigningFiles {
		s, err := c.secrets.word(file)
		if err != nil {
			return nil, err
		}
		c.hidden.hide(s)
		key, err := parseKey(s)
		if err != nil {
			return nil, fmt.Errorf("signing key %s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}
