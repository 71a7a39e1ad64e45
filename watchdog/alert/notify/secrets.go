package notify

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/files"
)

// maxSecret bounds a file with a secret or a certificate.
const maxSecret = 1 << 20

// reader reads the files that a configuration names. There is one, so that a
// file that does not answer keeps one thread, whoever asks for it.
var reader = files.NewReader()

// secretStore reads secrets by the names that a configuration gives them.
type secretStore struct {
	dir    string        // where systemd put credentials; empty: none
	reader *files.Reader // nil: the one for all
}

var errNoCredentials = errors.New("no $CREDENTIALS_DIRECTORY")

// newSecretStore finds where credentials are.
func newSecretStore(dir string) secretStore {
	if dir == "" {
		dir = os.Getenv("CREDENTIALS_DIRECTORY")
	}
	return secretStore{dir: dir}
}

// read gives the bytes of a secret's file, in bounded time: a FIFO in its place
// or a dead mount is an error and not a worker that hangs.
func (v secretStore) read(name string) ([]byte, error) {
	path := name
	if !filepath.IsAbs(name) {
		if v.dir == "" {
			return nil, fmt.Errorf("credential %q: %w: name an absolute path, or load it in the unit (LoadCredential=)", name, errNoCredentials)
		}
		path = filepath.Join(v.dir, name)
	}
	b, err := cmp.Or(v.reader, reader).Read(context.Background(), path, maxSecret)
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
func (v secretStore) word(name string) (string, error) {
	b, err := v.read(name)
	if err != nil {
		return "", err
	}
	s := string(bytes.TrimSpace(b))
	if s == "" || incident.Unprintable(s) {
		return "", fmt.Errorf("secret %s: not one line of text", name)
	}
	return s, nil
}
