package web

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// endless is longer than any test waits: a server that is so patient answers
// others only if they need not wait for the slow ones.
const endless = time.Hour

// alive is the health of a loop that turns for as long as a test lasts.
func alive() *Health { return NewHealth(time.Now().Add(endless)) }

// dial opens n connections that say the same and no more.
func dial(t *testing.T, network, at string, n int, said string) (list []net.Conn) {
	t.Helper()
	for range n {
		c, err := net.Dial(network, at)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		_, _ = io.WriteString(c, said) // it may have been shown the door already
		list = append(list, c)
	}
	return list
}

// Half-open connections, however many, do not keep a health check waiting.
func TestHalfOpenConnectionsDelayNobody(t *testing.T) {
	for _, n := range []int{64, 600} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			p := &Page{Listen: "127.0.0.1:0", patient: endless, Health: alive()}
			open(t, p)
			at := address(t, p)
			for _, said := range []string{"GET /metrics HTTP/1.1\r\nX: ", "", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"} {
				dial(t, "tcp", at, n/3, said)
				if code, body := ask(t, "GET", at+"/healthz"); code != 200 || body != "ok\n" {
					t.Errorf("behind half-open connections that said %q: %d %q", said, code, body)
				}
			}
		})
	}
}

// Thousands of them come while health is asked.
func TestHealthDuringAFlood(t *testing.T) {
	p := &Page{Listen: "127.0.0.1:0", patient: endless, Health: alive()}
	open(t, p)
	at := address(t, p)
	for range 50 {
		held := dial(t, "tcp", at, 100, "GET / HTTP/1.1\r\n")
		if code, _ := ask(t, "GET", at+"/healthz"); code != 200 {
			t.Errorf("%d", code)
		}
		for _, c := range held[:50] { // and some of them go by themselves
			c.Close()
		}
	}
}

// However fast others come, a connection has some time to speak.
func TestGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &visitors{most: 2}
		come := func() (*visitor, *visitor, time.Duration) {
			c, far := net.Pipe()
			far.Close()
			n := &visitor{Conn: c, all: v}
			out, wait := v.admit(n)
			return n, out, wait
		}
		first, _, _ := come()
		second, _, _ := come()
		time.Sleep(grace / 2)
		if _, out, wait := come(); out != nil || wait != grace/2 {
			t.Errorf("too early: %v, %v", out, wait)
		}
		v.note(first, http.StateActive)
		time.Sleep(grace / 2)
		third, out, wait := come()
		if out != second || wait != 0 {
			t.Errorf("not the one who said nothing: %v, %v", out, wait)
		}
		third.Close()
		third.Close() // twice is once
		if _, out, wait := come(); out != nil || wait != 0 {
			t.Errorf("there was room: %v, %v", out, wait)
		}
	})
}

// Those who never read their answer go before somebody else has to wait.
func TestSlowReadersDelayNobody(t *testing.T) {
	long := bytes.Repeat([]byte("metric 1\n"), 1<<19) // more than all buffers on the way hold
	p := &Page{Listen: "127.0.0.1:0", patient: endless, Health: alive(),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(long) })}
	open(t, p)
	at := address(t, p)
	for range mostVisitors + 40 {
		c := dial(t, "tcp", at, 1, "")[0]
		if err := c.(*net.TCPConn).SetReadBuffer(4096); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	if code, _ := ask(t, "GET", at+"/healthz"); code != 200 {
		t.Errorf("%d", code)
	}
	if code, body := ask(t, "GET", at+"/metrics"); code != 200 || body != string(long) {
		t.Errorf("%d, %d bytes", code, len(body))
	}
}

// expectCut reads a connection to its end, which must come.
func expectCut(t *testing.T, c net.Conn) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil && !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("still served: %v", err)
	}
}

// A member of the socket's group who opens connections and says nothing, or sends
// what never ends, keeps `lifeline status` from nothing.
func TestControlSocketIsBounded(t *testing.T) {
	path := serveWith(t, API{Status: sample}, func(s *Server) { s.patient = endless })
	silent := dial(t, "unix", path, 3*mostCallers, "")
	dial(t, "unix", path, 2*mostCallers, "POST /v1/transfers/t7/pin HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n{")
	if _, err := NewClient(path).Status(t.Context()); err != nil {
		t.Error(err)
	}
	expectCut(t, silent[0])
}

// An idle connection goes before one that is being served.
func TestIdleGoFirst(t *testing.T) {
	held, asked := make(chan struct{}), make(chan struct{}, 1)
	path := serveWith(t, API{Status: func() Status { asked <- struct{}{}; <-held; return sample() }}, func(s *Server) { s.patient = endless })
	done := make(chan error, 1)
	go func() {
		_, err := NewClient(path).Status(t.Context())
		done <- err
	}()
	<-asked
	dial(t, "unix", path, 4*mostCallers, "GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
	close(held)
	if err := <-done; err != nil {
		t.Errorf("whoever was served had to go: %v", err)
	}
}

// A request is bounded in its header and its body.
func TestLargeRequestsAreRefused(t *testing.T) {
	path := serve(t, API{Status: sample})
	c := NewClient(path)
	for what, err := range map[string]error{
		"a pin":    c.do(t.Context(), http.MethodPost, "/v1/transfers/t1/pin", map[string]string{"pause": strings.Repeat("x", 8<<10)}, nil),
		"a header": c.do(t.Context(), http.MethodGet, "/v1/status?"+strings.Repeat("x", 64<<10), nil, nil),
	} {
		if err == nil || !strings.Contains(err.Error(), "too large") && !strings.Contains(err.Error(), "Too Large") && !strings.Contains(err.Error(), "broken pipe") && !strings.Contains(err.Error(), "reset") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
