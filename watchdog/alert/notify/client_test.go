package notify

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/unit"
)

// testReceiver is one that tests need not wait for.
func testReceiver(typ, url string) Receiver {
	r := DefaultReceiver(typ)
	r.Name, r.URL = "r", url
	r.Timeout, r.RetryMin, r.RetryMax = unit.Of(5*time.Second), unit.Of(10*time.Millisecond), unit.Of(50*time.Millisecond)
	return r
}

// attempt sends one request as a receiver is configured.
func attempt(t *testing.T, r Receiver) error {
	t.Helper()
	c := &client{cfg: r, secrets: newSecretStore(""), now: time.Now}
	defer c.close()
	return c.post(t.Context(), request{id: "event-1", body: []byte(`{"version":"1"}`), contentType: jsonType})
}

func TestHeadersAndAuthentication(t *testing.T) {
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer srv.Close()
	creds := t.TempDir()
	if err := os.WriteFile(filepath.Join(creds, "token"), []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", creds)

	r := testReceiver(TypeJSON, srv.URL)
	r.BearerFile = "token"
	r.Headers = map[string]string{"X-Team": "storage", "host": "alerts.example"}
	r.HeaderFiles = map[string]string{"X-Api-Key": alerttest.File(t, "key", "  k3y  \n")}
	if err := attempt(t, r); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]string{"Authorization": "Bearer t0ken", "X-Team": "storage", "X-Api-Key": "k3y", "Content-Type": jsonType, "User-Agent": "Lifeline"} {
		if v := got.Header.Get(k); v != want {
			t.Errorf("%s: %q, want %q", k, v, want)
		}
	}
	if got.Host != "alerts.example" || got.Method != "POST" {
		t.Errorf("host %q, method %s", got.Host, got.Method)
	}

	r = testReceiver(TypeJSON, srv.URL)
	r.BasicUser, r.BasicPassFile = "lifeline", alerttest.File(t, "pass", "s3cret")
	if err := attempt(t, r); err != nil {
		t.Fatal(err)
	}
	if u, p, ok := got.BasicAuth(); !ok || u != "lifeline" || p != "s3cret" {
		t.Errorf("basic authentication %q %q %v", u, p, ok)
	}
}

// A secret that cannot be read is a failure that may pass, not a refusal.
func TestSecretThatCannotBeRead(t *testing.T) {
	b := alerttest.NewInbox(t)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := alerttest.Mkfifo(fifo); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{
		"missing":     "/nonexistent/file",
		"fifo":        fifo,
		"directory":   t.TempDir(),
		"empty":       alerttest.File(t, "empty", "\n"),
		"two lines":   alerttest.File(t, "two", "a\nb"),
		"large":       alerttest.File(t, "large", strings.Repeat("x", maxSecret+1)),
		"no such dir": "credential-without-directory",
	} {
		r := testReceiver(TypeJSON, b.URL)
		r.BearerFile = path
		if err := attempt(t, r); err == nil || asDeliveryError(err).verdict != retryAll {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.Requests() != 0 {
		t.Error("a request went out without its secret")
	}
}

// No error shows a secret, even if the receiver says it back.
func TestSecretsAreHidden(t *testing.T) {
	const secret, path, pass, token, key, query = "S3CR3T-header", "T000-B000-XXXXXXXX", "p4ssw0rd", "t0ken-t0ken", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIz", "q=queryquery"
	echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, "no: %s %v", r.URL, r.Header)
	}))
	dead := httptest.NewServer(nil)
	dead.Close()
	for _, base := range []string{echo.URL, dead.URL, "http://no-such-host.invalid", "https://" + strings.TrimPrefix(echo.URL, "http://")} {
		full := base + "/services/" + path + "?" + query
		for _, r := range []Receiver{
			{URL: full, BearerFile: alerttest.File(t, "f", token)},
			{URLFile: alerttest.File(t, "f", full+"\n"), BasicUser: "u", BasicPassFile: alerttest.File(t, "p", pass)},
			{URL: full, Headers: map[string]string{"X-Key": secret}, SigningFiles: []string{alerttest.File(t, "k", key)}},
			{URL: full, HeaderFiles: map[string]string{"X-Key": alerttest.File(t, "h", secret)}},
			{URL: full, Proxy: "http://user:" + pass + "@127.0.0.1:1"},
		} {
			d := testReceiver(TypeJSON, "")
			r.Name, r.Type, r.Method, r.Timeout = d.Name, d.Type, d.Method, unit.Of(time.Second)
			err := attempt(t, r)
			if err == nil {
				t.Fatalf("%+v went well", r)
			}
			for _, s := range []string{secret, path, pass, token, key, strings.TrimPrefix(key, "whsec_"), "queryquery", "dTpwNHNzdzByZA"} {
				if strings.Contains(err.Error(), s) {
					t.Errorf("%q is in: %v", s, err)
				}
			}
			if st := TargetOf(r); strings.Contains(st, path) || strings.Contains(st, "query") {
				t.Errorf("target %q", st)
			}
		}
	}
	echo.Close()
}

// authority makes certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{}
	var certPEM string
	a.cert, a.key, certPEM, _ = a.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.pem = certPEM
	return a
}

// issue signs a certificate; the first one signs itself.
func (a *authority) issue(t *testing.T, tmpl *x509.Certificate) (cert *x509.Certificate, key *ecdsa.PrivateKey, certPEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl.SerialNumber = big.NewInt(time.Now().UnixNano())
	tmpl.NotBefore, tmpl.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = tmpl, key
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block := func(typ string, b []byte) string { return string(pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: b})) }
	return cert, key, block("CERTIFICATE", der), block("PRIVATE KEY", raw)
}

func TestTLS(t *testing.T) {
	ca := newAuthority(t)
	_, _, certPEM, keyPEM := ca.issue(t, &x509.Certificate{DNSNames: []string{"receiver.example"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})
	pair, err := tls.X509KeyPair([]byte(certPEM), []byte(keyPEM))
	if err != nil {
		t.Fatal(err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(ca.cert)
	_, _, clientCert, clientKey := ca.issue(t, &x509.Certificate{Subject: pkix.Name{CommonName: "lifeline"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})

	serve := func(auth tls.ClientAuthType) *httptest.Server {
		srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, ClientAuth: auth, ClientCAs: clients}
		srv.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are what is tested
		srv.StartTLS()
		t.Cleanup(srv.Close)
		return srv
	}
	open, mutual := serve(tls.NoClientCert), serve(tls.RequireAndVerifyClientCert)
	caFile, cert, key := alerttest.File(t, "ca", ca.pem), alerttest.File(t, "cert", clientCert), alerttest.File(t, "key", clientKey)
	for name, c := range map[string]struct {
		srv    *httptest.Server
		change func(*Receiver)
		ok     bool
	}{
		"unknown authority":    {open, func(*Receiver) {}, false},
		"own authority":        {open, func(r *Receiver) { r.CAFile = caFile }, true},
		"not checked":          {open, func(r *Receiver) { r.SkipVerify = true }, true},
		"other name":           {open, func(r *Receiver) { r.CAFile, r.ServerName = caFile, "receiver.example" }, true},
		"wrong name":           {open, func(r *Receiver) { r.CAFile, r.ServerName = caFile, "other.example" }, false},
		"no certificate there": {open, func(r *Receiver) { r.CAFile = key }, false},
		"client unknown":       {mutual, func(r *Receiver) { r.CAFile = caFile }, false},
		"client known":         {mutual, func(r *Receiver) { r.CAFile, r.CertFile, r.KeyFile = caFile, cert, key }, true},
		"key of another":       {mutual, func(r *Receiver) { r.CAFile, r.CertFile, r.KeyFile = caFile, cert, alerttest.File(t, "k", keyPEM) }, false},
	} {
		r := testReceiver(TypeJSON, c.srv.URL)
		c.change(&r)
		if err := attempt(t, r); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestProxy(t *testing.T) {
	b := alerttest.NewInbox(t)
	var asked string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		resp, err := http.Post(b.URL, jsonType, r.Body)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
	}))
	defer proxy.Close()
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // of the environment: not asked
	r := testReceiver(TypeJSON, "http://receiver.invalid/hook")
	r.Proxy = proxy.URL
	if err := attempt(t, r); err != nil || len(b.Got()) != 1 || asked != "http://receiver.invalid/hook" {
		t.Errorf("%v, %q", err, asked)
	}
}

func TestSourceAddress(t *testing.T) {
	var from string
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { from = r.RemoteAddr }))
	defer srv.Close()
	r := testReceiver(TypeJSON, srv.URL)
	r.SourceAddress = "127.0.0.9"
	if err := attempt(t, r); err != nil || !strings.HasPrefix(from, "127.0.0.9:") {
		t.Errorf("%v, from %s", err, from)
	}
	r.SourceAddress = "192.0.2.1" // TEST-NET-1: none of ours
	if err := attempt(t, r); err == nil {
		t.Error("sent from an address that this host does not have")
	}
}

func TestLink(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	r := testReceiver(TypeJSON, srv.URL)
	r.Link = "lo"
	if err := attempt(t, r); err != nil {
		t.Errorf("over lo: %v", err)
	}
	r.Link = "no-such-link"
	if err := attempt(t, r); err == nil || !strings.Contains(err.Error(), `link "no-such-link"`) {
		t.Errorf("over a link that does not exist: %v", err)
	}
}

func TestConnectionIsReused(t *testing.T) {
	var conns int
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, "ok")
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			conns++
		}
	}
	srv.Start()
	defer srv.Close()
	c := &client{cfg: testReceiver(TypeJSON, srv.URL), now: time.Now}
	for range 20 {
		if err := c.post(t.Context(), request{body: []byte("{}")}); err != nil {
			t.Fatal(err)
		}
	}
	if conns != 1 {
		t.Errorf("%d connections for 20 requests", conns)
	}
}

func TestTimeout(t *testing.T) {
	r := testReceiver(TypeJSON, alerttest.NewHanging(t))
	r.Timeout = unit.Of(100 * time.Millisecond)
	began := time.Now()
	err := attempt(t, r)
	if err == nil || !strings.Contains(err.Error(), "no answer within 100ms") || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := &client{cfg: r, now: time.Now}
	if c.post(ctx, request{}) == nil {
		t.Error("went on although the daemon ends")
	}
}

func TestJudge(t *testing.T) {
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		code  int
		after string
		fate  verdict
		rest  time.Duration
	}{
		{400, "", refused, 0}, {401, "", refused, 0}, {404, "", refused, 0}, {410, "", refused, 0}, {422, "5", refused, 5 * time.Second},
		{408, "", retryEvent, 0}, {429, "", retryAll, 0}, {429, "7", retryAll, 7 * time.Second}, {429, "999999999999", retryAll, maxRetryAfter},
		{500, "", retryEvent, 0}, {502, "", retryEvent, 0}, {503, "", retryEvent, 0}, {503, "2", retryAll, 2 * time.Second},
		{301, "", retryAll, 0}, {302, "", retryAll, 0}, {429, "Wed, 01 Jan 2025 00:00:10 GMT", retryAll, 10 * time.Second},
		{429, "Tue, 31 Dec 2024 00:00:10 GMT", retryAll, 0}, {429, "soon", retryAll, 0}, {429, "-5", retryAll, 0},
	} {
		resp := &http.Response{StatusCode: c.code, Header: http.Header{"Retry-After": {c.after}}}
		f := asDeliveryError(checkResponse(resp, "", now))
		if f.verdict != c.fate || f.retryAfter != c.rest || f.status != c.code {
			t.Errorf("%d %q: %+v", c.code, c.after, f)
		}
	}
	for _, code := range []int{200, 201, 202, 204} {
		if err := checkResponse(&http.Response{StatusCode: code}, "", now); err != nil {
			t.Errorf("%d: %v", code, err)
		}
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"", "1", "Wed, 01 Jan 2025 00:00:10 GMT", "-1", "1e9", " 5 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := retryAfter(s, time.Unix(0, 0)); d < 0 || d > maxRetryAfter {
			t.Errorf("%q: %s", s, d)
		}
	})
}

func FuzzHiding(f *testing.F) {
	f.Add("https://example.com/services/T000000000/B0000?token=abcdefghij", "text T000000000 text")
	f.Fuzz(func(t *testing.T, s, text string) {
		u, err := url.Parse(s)
		if err != nil {
			return
		}
		var h redactor
		h.hideURL(u)
		h.redact(text)
	})
}
