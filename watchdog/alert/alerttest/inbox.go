package alerttest

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"lifeline/watchdog/alert/incident"
)

// inbox is a receiver of type "json" on loopback.
type inbox struct {
	*httptest.Server
	mu      sync.Mutex
	events  []incident.Event // taken
	headers []http.Header
	asked   int                                       // requests
	answer  func(n int, ev incident.Event) (code int) // nil: 204
}

func NewInbox(t *testing.T) *inbox {
	b := &inbox{}
	b.Server = httptest.NewServer(b)
	t.Cleanup(b.Close)
	return b
}

func (b *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var ev incident.Event
	if err == nil {
		err = json.Unmarshal(raw, &ev)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	code := http.StatusNoContent
	if err != nil {
		code = http.StatusTeapot // breaks the test that sent it
	} else if b.answer != nil {
		code = b.answer(b.asked, ev)
	}
	if code < 300 {
		b.events = append(b.events, ev)
		b.headers = append(b.headers, r.Header)
	}
	w.WriteHeader(code)
}

// Got is what was taken so far.
func (b *inbox) Got() []incident.Event {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]incident.Event(nil), b.events...)
}

func (b *inbox) Requests() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.asked
}

// Set changes how the inbox answers.
func (b *inbox) Set(answer func(n int, ev incident.Event) int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

// Always answers with one code.
func Always(code int) func(int, incident.Event) int {
	return func(int, incident.Event) int { return code }
}
