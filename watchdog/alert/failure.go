package alert

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// fate is what becomes of an event after a failed attempt.
type fate int

const (
	later   fate = iota // the receiver cannot be reached or wants rest: all its events wait
	another             // it failed on this event: others may go first
	refused             // it will not take this event, ever
)

// failure is an attempt that did not work. Its text holds no secret.
type failure struct {
	fate   fate
	status int           // of the answer; 0 for none
	rest   time.Duration // that the receiver asked for; 0 for none
	msg    string
}

func (f *failure) Error() string { return f.msg }

// longestRest bounds what a receiver may ask for.
const longestRest = time.Hour

// judge decides by the answer. Said is the beginning of its body.
func judge(resp *http.Response, said string, now time.Time) error {
	if resp.StatusCode >= 200 && resp.StatusCode < 300 {
		return nil
	}
	f := &failure{status: resp.StatusCode, msg: fmt.Sprintf("answered %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))}
	if said != "" {
		f.msg += ": " + said
	}
	f.rest = retryAfter(resp.Header.Get("Retry-After"), now)
	switch c := resp.StatusCode; {
	case c == http.StatusTooManyRequests, c == http.StatusServiceUnavailable && f.rest > 0:
		f.fate = later
	case c == http.StatusRequestTimeout, c >= 500:
		f.fate = another
	case c >= 400:
		f.fate = refused
	case c >= 300:
		// A portal or a proxy in the way, or a receiver that moved: nobody said
		// that the alert is bad.
		f.fate, f.msg = later, f.msg+" (redirected elsewhere; not followed)"
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
		if n > uint64(longestRest/time.Second) {
			return longestRest
		}
		return time.Duration(n) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return min(max(at.Sub(now), 0), longestRest)
	}
	return 0
}
