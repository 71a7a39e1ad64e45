package alert

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lifeline/watchdog/files"
)

// mostSecret bounds a file with a secret or a certificate.
const mostSecret = 1 << 20

// reader reads the files that a configuration names. There is one, so that a
// file that does not answer keeps one thread, whoever asks for it.
var reader = files.NewReader()

// vault reads secrets by the names that a configuration gives them.
type vault struct {
	dir    string        // where systemd put credentials; empty: none
	reader *files.Reader // nil: the one for all
}

var errNoCredentials = errors.New("no $CREDENTIALS_DIRECTORY")

// newVault finds where credentials are.
func newVault(dir string) vault {
	if dir == "" {
		dir = os.Getenv("CREDENTIALS_DIRECTORY")
	}
	return vault{dir: dir}
}

// read gives the bytes of a secret's file, in bounded time: a FIFO in its place
// or a dead mount is an error and not a worker that hangs.
func (v vault) read(name string) ([]byte, error) {
	path := name
	if !filepath.IsAbs(name) {
		if v.dir == "" {
			return nil, fmt.Errorf("credential %q: %w: name an absolute path, or load it in the unit (LoadCredential=)", name, errNoCredentials)
		}
		path = filepath.Join(v.dir, name)
	}
	b, err := cmp.Or(v.reader, reader).Read(context.Background(), path, mostSecret)
	var at *fs.PathError
	switch {
	case errors.Is(err, files.ErrNotRegular):
		return nil, fmt.Errorf("secret %s: not a regular file", path)
	case errors.As(err, &at):
		return nil, fmt.Errorf("secret: %w", err)
	case err != nil:
		return nil, fmt.Errorf("secret %s: %w", path, err)
	}
	return b, nil
}

// word reads a secret that is one line: white space around it does not count.
func (v vault) word(name string) (string, error) {
	b, err := v.read(name)
	if err != nil {
		return "", err
	}
	s := string(bytes.TrimSpace(b))
	if s == "" || unprintable(s) {
		return "", fmt.Errorf("secret %s: not one line of text", name)
	}
	return s, nil
}

// hidden is what must not be seen in errors, logs and status.
type hidden []string

const hiddenText = "[hidden]"

// shortest is how long a part of a URL must be to count as secret by itself.
const shortest = 8

// hide adds a secret, also as it is written in JSON, in URLs and in HTML.
func (h *hidden) hide(s string) {
	forms := []string{s, url.QueryEscape(s), url.PathEscape(s), html.EscapeString(s)}
	if quoted, err := json.Marshal(s); err == nil {
		forms = append(forms, strings.Trim(string(quoted), `"`))
	}
	for _, f := range forms {
		if f != "" && !slices.Contains(*h, f) {
			*h = append(*h, f)
		}
	}
}

// hideURL adds what of a URL may be a secret: everything but scheme and host.
func (h *hidden) hideURL(u *url.URL) {
	if pass, ok := u.User.Password(); ok {
		h.hide(pass)
	}
	h.hide(u.RequestURI())
	h.hide(u.RawQuery)
	for _, part := range strings.Split(u.Path, "/") {
		if len(part) >= shortest {
			h.hide(part)
		}
	}
	for _, values := range u.Query() {
		for _, v := range values {
			if len(v) >= shortest {
				h.hide(v)
			}
		}
	}
}

// scrub takes the secrets out of a text; the longest first, for one may be
// part of another.
func (h hidden) scrub(text string) string {
	all := slices.Clone(h)
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	for _, s := range all {
		if s != "/" {
			text = strings.ReplaceAll(text, s, hiddenText)
		}
	}
	return text
}

// redact is a URL as it may be seen: scheme and host.
func redact(u *url.URL) string {
	return u.Scheme + "://" + u.Host
}

// bare takes the URL out of an error of net/http.
func bare(err error) error {
	var ue *url.Error
	if errors.As(err, &ue) {
		return ue.Err
	}
	return err
}
