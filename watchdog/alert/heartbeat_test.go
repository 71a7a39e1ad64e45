package alert

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"lifeline/watchdog/alert/alerttest"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/alert/notify"
	"lifeline/watchdog/unit"
)

// switchboard is a dead-man's switch that keeps what it was asked.
type switchboard struct {
	*httptest.Server
	mu   sync.Mutex
	asks []string // path and body
	code int
	rest string
}

func newSwitchboard(t *testing.T) *switchboard {
	s := &switchboard{code: 200}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 200))
		s.mu.Lock()
		defer s.mu.Unlock()
		s.asks = append(s.asks, r.Method+" "+r.URL.Path+" "+string(body))
		if s.rest != "" {
			w.Header().Set("Retry-After", s.rest)
		}
		w.WriteHeader(s.code)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *switchboard) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asks)
}

// last tells whether the last ping was this one.
func (s *switchboard) last(want string) func() bool {
	return func() bool { a := s.asked(); return len(a) > 0 && a[len(a)-1] == want }
}

// A dead-man's switch is pinged while the control loop turns, hears of its end,
// and of incidents if it is asked to.
func TestPing(t *testing.T) {
	t.Parallel()
	plain, strict := newSwitchboard(t), newSwitchboard(t)
	p := quick("plain", notify.TypePing, plain.URL+"/ping/uuid")
	p.Heartbeat = unit.Of(time.Second)
	s := quick("strict", notify.TypePing, strict.URL+"/ping/uuid")
	s.Heartbeat, s.MinSeverity = unit.Of(time.Hour), "critical" // what changes is told before its time
	a := start(t, t.TempDir(), p, s)
	const alive = "POST /ping/uuid h: Lifeline is alive\n"
	a.Take(time.Now(), nil, nil)
	alerttest.Eventually(t, "alive", func() bool { return plain.last(alive)() && strict.last(alive)() })
	if plain.asked()[0] != alive || strict.asked()[0] != alive {
		t.Errorf("pings before the loop has turned: %q, %q", plain.asked(), strict.asked())
	}
	a.raise(alerttest.Saturated)
	a.raise(alerttest.Down)
	alerttest.Eventually(t, "a failure", strict.last("POST /ping/uuid/fail h: link eth1 down\n"))
	if _, err := a.Silence(incident.Silence{Subject: "eth1"}, time.Hour); err != nil {
		t.Fatal(err)
	}
	alerttest.Eventually(t, "alive, for what is silenced does not count", strict.last(alive))
	for _, ask := range plain.asked() {
		if ask != alive {
			t.Errorf("a switch for Lifeline alone was asked %q", ask)
		}
	}
	a.box.mu.Lock()
	a.box.latest.Mono -= 2 * loopTimeout
	a.box.mu.Unlock()
	alerttest.Eventually(t, "the end of the loop", plain.last("POST /ping/uuid/fail h: Lifeline's control loop does not turn\n"))
}

func TestPingByGET(t *testing.T) {
	t.Parallel()
	b := newSwitchboard(t)
	p := quick("p", notify.TypePing, b.URL+"/api/push/token?status=up")
	p.Method = "GET"
	a := start(t, t.TempDir(), p)
	a.Take(time.Now(), nil, nil)
	alerttest.Eventually(t, "alive", b.last("GET /api/push/token "))
}

// A receiver that asks for rest has it from heartbeats too.
func TestHeartbeatRests(t *testing.T) {
	t.Parallel()
	b := newSwitchboard(t)
	b.code, b.rest = 429, "3600"
	p := quick("p", notify.TypePing, b.URL)
	p.Heartbeat = unit.Of(time.Second)
	a := start(t, t.TempDir(), p)
	a.Take(time.Now(), nil, nil)
	alerttest.Eventually(t, "a failure", func() bool { return a.receiver("p").Failed == 1 })
	if next := time.Until(a.receiver("p").NextTry); next < 50*time.Minute {
		t.Errorf("the next heartbeat in %s", next)
	}
}
