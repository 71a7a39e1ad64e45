package alert

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	dialTime    = 5 * time.Second
	idleTime    = 30 * time.Second
	drainTime   = 500 * time.Millisecond // for the rest of an answer, so that the connection can be used again
	mostAnswer  = 4 << 10                // of a body, read
	mostSaid    = 200                    // of a body, shown
	mostHeaders = 64 << 10
	mostHops    = 5
)

// client sends requests to one receiver, as configured. Its errors hold no
// secret.
type client struct {
	cfg    Receiver
	vault  vault
	now    func() time.Time
	http   *http.Client // nil until the first request, and after a failure of the network
	hidden hidden       // secrets seen so far
}

// request is what is to be sent.
type request struct {
	url         func(base *url.URL) *url.URL // nil: the configured one
	id          string                       // of the event, for the signature
	body        []byte
	contentType string
}

// do makes one attempt. Errors are *failure.
func (c *client) do(ctx context.Context, r request) error {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := c.build(ctx, r)
	if err == nil && c.http == nil {
		c.http, err = c.connectable()
	}
	if err != nil {
		return c.fail(later, err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		c.close() // its certificates may be new by the next attempt
		return c.fail(later, bare(err))
	}
	said := drain(resp.Body, cancel)
	if err := judge(resp, clip(c.hidden.scrub(said), mostSaid), c.now()); err != nil {
		return err
	}
	return nil
}

// fail makes a failure of an error.
func (c *client) fail(f fate, err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %s", c.cfg.Timeout)
	}
	return &failure{fate: f, msg: clip(c.hidden.scrub(err.Error()), mostText)}
}

// drain reads a little of a body, for a short time, closes it and gives it as
// one line. An answer whose head has come is an answer,
// whatever its body does.
func drain(body io.ReadCloser, cancel context.CancelFunc) string {
	stop := time.AfterFunc(drainTime, cancel)
	defer stop.Stop()
	b, _ := io.ReadAll(io.LimitReader(body, mostAnswer)) // what came is enough
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
		return nil, bare(err)
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
		if s, err = c.vault.word(c.cfg.URLFile); err != nil {
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
		if len(v) >= shortest {
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
		v, err := c.vault.word(file)
		if err != nil {
			return err
		}
		c.hidden.hide(v)
		set(k, v)
	}
	switch {
	case c.cfg.BasicUser != "":
		pass, err := c.vault.word(c.cfg.BasicPassFile)
		if err != nil {
			return err
		}
		c.hidden.hide(pass)
		req.SetBasicAuth(c.cfg.BasicUser, pass)
		c.hidden.hide(strings.TrimPrefix(req.Header.Get("Authorization"), "Basic "))
	case c.cfg.BearerFile != "":
		token, err := c.vault.word(c.cfg.BearerFile)
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
		s, err := c.vault.word(file)
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

// connectable makes the HTTP client.
func (c *client) connectable() (*http.Client, error) {
	t, err := c.transport()
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: t, CheckRedirect: sameHost}, nil
}

func (c *client) transport() (*http.Transport, error) {
	tc, err := c.tls()
	if err != nil {
		return nil, err
	}
	t := &http.Transport{
		DialContext:            c.dialer().DialContext,
		TLSClientConfig:        tc,
		TLSHandshakeTimeout:    dialTime,
		ResponseHeaderTimeout:  c.cfg.Timeout,
		MaxResponseHeaderBytes: mostHeaders,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        idleTime,
		DisableCompression:     true, // a small body may unpack to a large one
	}
	if c.cfg.Proxy != "" {
		u, err := url.Parse(c.cfg.Proxy)
		if err != nil {
			return nil, errors.New("proxy: is no URL")
		}
		c.hidden.hideURL(u)
		t.Proxy = http.ProxyURL(u)
	}
	return t, nil
}

// dialer binds to the configured address and link.
func (c *client) dialer() *net.Dialer {
	d := &net.Dialer{Timeout: dialTime}
	if c.cfg.SourceAddress != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(c.cfg.SourceAddress)}
	}
	if c.cfg.Link != "" {
		d.Control = bindTo(c.cfg.Link)
	}
	return d
}

// tls reads the certificates.
func (c *client) tls() (*tls.Config, error) {
	t := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: c.cfg.ServerName, InsecureSkipVerify: c.cfg.SkipVerify}
	if c.cfg.CAFile != "" {
		pem, err := c.vault.read(c.cfg.CAFile)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: holds no certificate", c.cfg.CAFile)
		}
	}
	if c.cfg.CertFile == "" {
		return t, nil
	}
	cert, err := c.vault.read(c.cfg.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := c.vault.read(c.cfg.KeyFile)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.cfg.CertFile, err)
	}
	t.Certificates = []tls.Certificate{pair}
	return t, nil
}

// sameHost follows a redirect only to the same host, not from https to http,
// and only where the alert goes along: a 302 would make a GET of it.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	upgrade := first.URL.Scheme == "http" && req.URL.Scheme == "https" && first.URL.Hostname() == req.URL.Hostname()
	same := first.URL.Scheme == req.URL.Scheme && first.URL.Host == req.URL.Host
	if len(via) >= mostHops || !same && !upgrade || req.Method != first.Method {
		return http.ErrUseLastResponse
	}
	return nil
}
