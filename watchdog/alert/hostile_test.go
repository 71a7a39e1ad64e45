package alert

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"lifeline/watchdog"
)

// newRaw is a receiver that does to each connection what it is told, and gives
// its URL.
func newRaw(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var conns []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns = append(conns, c)
			mu.Unlock()
			all.Go(func() { serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range conns {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return "http://" + l.Addr().String()
}

// newHanging is a receiver that accepts and never answers.
func newHanging(t *testing.T) string {
	return newRaw(t, func(c net.Conn) {
		r := bufio.NewReader(c)
		for {
			if _, err := r.ReadByte(); err != nil {
				return
			}
		}
	})
}

// slowly writes byte by byte.
func slowly(c net.Conn, text string, every time.Duration) {
	for i := range len(text) {
		if _, err := c.Write([]byte{text[i]}); err != nil {
			return
		}
		time.Sleep(every)
	}
}

// readHead reads a request's head, so that a close is not a reset.
func readHead(c net.Conn) {
	r := bufio.NewReader(c)
	for {
		line, err := r.ReadString('\n')
		if err != nil || strings.TrimSpace(line) == "" {
			return
		}
	}
}

// Whatever a receiver does, it is either a delivery or a failure within the
// timeout, memory stays bounded, and other receivers do not notice.
func TestHostileReceivers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	cases := []struct {
		name  string
		serve func(net.Conn)
		taken bool
	}{
		{"resets", func(c net.Conn) { c.(*net.TCPConn).SetLinger(0); c.Close() }, false},
		{"closes", func(c net.Conn) { readHead(c); c.Close() }, false},
		{"answers nonsense", func(c net.Conn) { readHead(c); fmt.Fprint(c, "SSH-2.0-OpenSSH_9.2\r\n"); c.Close() }, false},
		{"never ends its head", func(c net.Conn) {
			readHead(c)
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			for {
				if _, err := fmt.Fprintf(c, "X-Filler: %s\r\n", strings.Repeat("x", 4000)); err != nil {
					return
				}
			}
		}, false},
		{"answers byte by byte, too slowly", func(c net.Conn) { readHead(c); slowly(c, ok, 100*time.Millisecond) }, false},
		{"answers byte by byte", func(c net.Conn) { readHead(c); slowly(c, ok, time.Millisecond) }, true},
		{"takes it, then its body never ends", func(c net.Conn) {
			readHead(c)
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
		}, true},
		{"takes it, then resets", func(c net.Conn) {
			readHead(c)
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")
			time.Sleep(20 * time.Millisecond)
			c.(*net.TCPConn).SetLinger(0)
			c.Close()
		}, true},
		{"takes it, then sends 1 GB", func(c net.Conn) {
			readHead(c)
			fmt.Fprint(c, "HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n")
			chunk := make([]byte, 1<<20)
			for range 1024 {
				if _, err := c.Write(chunk); err != nil {
					return
				}
			}
		}, true},
	}
	fine := newInbox(t)
	rs := []Receiver{quick("fine", TypeJSON, fine.URL)}
	for n, c := range cases {
		r := quick(fmt.Sprintf("r%d", n), TypeJSON, newRaw(t, c.serve))
		r.Timeout, r.RetryMin, r.RetryMax = time.Second, time.Minute, time.Minute
		rs = append(rs, r)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	a := start(t, t.TempDir(), rs...)
	a.raise(saturated)
	eventually(t, "the other receiver", func() bool { return len(fine.got()) == 1 })
	for n, c := range cases {
		name := fmt.Sprintf("r%d", n)
		eventually(t, c.name, func() bool { st := a.receiver(name); return st.Sent+st.Failed > 0 })
		st := a.receiver(name)
		if (st.Sent == 1) != c.taken {
			t.Errorf("%s: %+v", c.name, st)
		}
		if !c.taken && (st.Pending != 1 || st.LastErr == "" || st.Dead != 0) {
			t.Errorf("%s: %+v", c.name, st)
		}
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 32<<20 {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

func TestRedirects(t *testing.T) {
	elsewhere := newInbox(t)
	here := newInbox(t)
	var to string
	code := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/hook", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, code) })
	mux.Handle("/new", here)
	srv := httptest.NewServer(mux)
	defer srv.Close()
	for _, c := range []struct {
		name  string
		code  int
		to    string
		taken bool
	}{
		{"same host, keeps the body", 307, srv.URL + "/new", true},
		{"same host, permanent", 308, "/new", true},
		{"same host, would become a GET", 302, "/new", false},
		{"another host", 307, elsewhere.URL, false},
		{"another host, permanent", 308, elsewhere.URL, false},
		{"in a circle", 307, "/hook", false},
	} {
		to, code = c.to, c.code
		r := quick("r", TypeJSON, srv.URL+"/hook")
		cl := &client{cfg: r, now: time.Now}
		err := cl.do(t.Context(), request{id: "x", body: []byte(`{"version":"1"}`), contentType: jsonType})
		if (err == nil) != c.taken {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && asFailure(err).fate != later {
			t.Errorf("%s: fate %d, want it to be tried again", c.name, asFailure(err).fate)
		}
	}
	if n := elsewhere.requests(); n != 0 {
		t.Errorf("%d requests went to another host", n)
	}
}

// Nothing that was to go over TLS goes without, and nothing from one port to
// another.
func TestRedirectOutOfTLS(t *testing.T) {
	plain := newInbox(t)
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, plain.URL, http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	r := quick("r", TypeJSON, srv.URL)
	r.SkipVerify = true
	err := attempt(t, r)
	if err == nil || !strings.Contains(err.Error(), "redirected elsewhere; not followed") || plain.requests() != 0 {
		t.Errorf("%v, %d requests without TLS", err, plain.requests())
	}
}

// Retry-After is honoured: no request before its time.
func TestRetryAfterIsHonoured(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var times []time.Time
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		times = append(times, time.Now())
		if len(times) == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		}
	}))
	defer srv.Close()
	a := start(t, t.TempDir(), quick("r", TypeJSON, srv.URL))
	a.raise(saturated)
	a.raise(cond(watchdog.LinkDown, "eth5", watchdog.Critical))
	a.clear(cond(watchdog.LinkDown, "eth5", watchdog.Critical)) // a path that is back does not shorten it
	eventually(t, "all sent", func() bool { return a.receiver("r").Sent == 3 })
	mu.Lock()
	defer mu.Unlock()
	if d := times[1].Sub(times[0]); d < 950*time.Millisecond {
		t.Errorf("asked again after %s", d)
	}
}

// A path that is back ends the pauses at once.
func TestNudge(t *testing.T) {
	b := newInbox(t)
	b.set(always(500))
	r := quick("r", TypeJSON, b.URL)
	r.RetryMin, r.RetryMax = time.Hour, time.Hour
	a := start(t, t.TempDir(), r)
	a.raise(down)
	eventually(t, "one failure", func() bool { return a.receiver("r").Failed == 1 })
	b.set(nil)
	a.raise(saturated)
	time.Sleep(50 * time.Millisecond)
	if n := b.requests(); n != 1 {
		t.Errorf("%d requests within the pause", n)
	}
	a.clear(down)
	eventually(t, "sent at once", func() bool { return len(b.got()) > 0 })
}
