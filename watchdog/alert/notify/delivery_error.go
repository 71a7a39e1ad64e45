package notify

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// verdict is what becomes of an event after a failed attempt.
type verdict int

const (
	retryAll   verdict = iota // the receiver cannot be reached or wants rest: all its events wait
	retryEvent                // it failed on this event: others may go first
	refused                   // it will not take this event, ever
)

// deliveryError is an attempt that did not work. Its text holds no secret.
type deliveryError struct {
	verdict    verdict
	status     int           // of the answer; 0 for none
	retryAfter time.Duration // that the receiver asked for; 0 for none
	msg        string
}

func (f *deliveryError) Error() string { return f.msg }

// maxRetryAfter bounds what a receiver may ask for.
const maxRetryAfter = time.Hour

// checkResponse decides by the answer. Said is the beginning of its body.
func checkResponse(resp *http.Response, said string, now time.Time) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	f := &deliveryError{status: resp.StatusCode, msg: fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))}
	if said != "" {
		f.msg += ": " + said
	}
	f.retryAfter = retryAfter(resp.Header.Get("Retry-After"), now)
	switch c := resp.StatusCode; {
	case c == http.StatusTooManyRequests, c == http.StatusServiceUnavailable && f.retryAfter > 0:
		f.verdict = retryAll
	case c == http.StatusRequestTimeout, c >= 500:
		f.verdict = retryEvent
	case c >= 400:
		f.verdict = refused
	case c >= 300:
		// A portal or a proxy in the way, or a receiver that moved: nobody said
		// that the alert is bad.
		f.verdict, f.msg = retryAll, f.msg+" (redirected elsewhere; not followed)"
	}
	return f
}

// retryAfter reads the header of that name (RFC 9110, 10.2.3): seconds or a
// date. What cannot be read is nothing.
func retryAfter(s string, now time.Time) time.Duration {
	s = strings.TrimSpace(s)
	if s == "" {
		return 0
	}
	if n, err := strconv.ParseUint(s, 10, 63); err == nil {
		if n > uint64(maxRetryAfter/time.Second) {
			return maxRetryAfter
		}
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(at.Sub(now), 0), maxRetryAfter)
	}
	return 0
}
