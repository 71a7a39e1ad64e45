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
	"sync/atomic"
	"testing"
	"time"

	"lifeline/watchdog"
	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/unit"
)

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
	fine := alerttest.NewInbox(t)
	rs := []notify.Receiver{quick("fine", notify.TypeJSON, fine.URL)}
	for n, c := range cases {
		r := quick(fmt.Sprintf("r%d", n), notify.TypeJSON, alerttest.NewRaw(t, c.serve))
		r.Timeout, r.RetryMin, r.RetryMax = unit.Of(time.Second), unit.Of(time.Minute), unit.Of(time.Minute)
		rs = append(rs, r)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	a := start(t, t.TempDir(), rs...)
	a.raise(alerttest.Saturated)
	alerttest.Eventually(t, "the other receiver", func() bool { return len(fine.Got()) == 1 })
	for n, c := range cases {
		name := fmt.Sprintf("r%d", n)
		alerttest.Eventually(t, c.name, func() bool { st := a.receiver(name); return st.Sent+st.Failed > 0 })
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
	a := start(t, t.TempDir(), quick("r", notify.TypeJSON, srv.URL))
	a.raise(alerttest.Saturated)
	a.raise(alerttest.Condition(watchdog.LinkDown, "eth5", watchdog.Critical))
	a.clear(alerttest.Condition(watchdog.LinkDown, "eth5", watchdog.Critical)) // a path that is back does not shorten it
	alerttest.Eventually(t, "all sent", func() bool { return a.receiver("r").Sent == 3 })
	mu.Lock()
	defer mu.Unlock()
	if d := times[1].Sub(times[0]); d < 950*time.Millisecond {
		t.Errorf("asked again after %s", d)
	}
}

// A path that is back ends the pauses at once.
func TestNudge(t *testing.T) {
	b := alerttest.NewInbox(t)
	b.Set(alerttest.Always(500))
	r := quick("r", notify.TypeJSON, b.URL)
	r.RetryMin, r.RetryMax = unit.Of(time.Hour), unit.Of(time.Hour)
	a := start(t, t.TempDir(), r)
	a.raise(alerttest.Down)
	alerttest.Eventually(t, "one failure", func() bool { return a.receiver("r").Failed == 1 })
	var back atomic.Bool
	var early atomic.Int32
	b.Set(func(int, incident.Event) int {
		if !back.Load() {
			early.Add(1)
		}
		return 204
	})
	a.raise(alerttest.Saturated)
	alerttest.Eventually(t, "two wait", func() bool { return a.receiver("r").Pending == 2 && a.Status().Spool.Unwrit == 0 })
	back.Store(true)
	a.clear(alerttest.Down)
	alerttest.Eventually(t, "sent at once", func() bool { return len(b.Got()) > 0 })
	if n := early.Load(); n > 0 {
		t.Errorf("%d requests within the pause", n)
	}
}
