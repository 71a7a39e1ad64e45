package notify

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
)

// newHTTPClient makes the HTTP client.
func (c *client) newHTTPClient() (*http.Client, error) {
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
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  c.cfg.Timeout.Duration,
		MaxResponseHeaderBytes: maxHeaders,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        idleTimeout,
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
	d := &net.Dialer{Timeout: dialTimeout}
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
		pem, err := c.secrets.read(c.cfg.CAFile)
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
	cert, err := c.secrets.read(c.cfg.CertFile)
	if err != nil {
		return nil, err
	}
	key, err := c.secrets.read(c.cfg.KeyFile)
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
	if len(via) >= maxRedirects || !same && !upgrade || req.Method != first.Method {
		return http.ErrUseLastResponse
	}
	return nil
}
