package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/sys/unix"

	"lifeline/watchdog"
)

// ErrNoDaemon means that nobody answers on the control socket.
var ErrNoDaemon = errors.New("no daemon is running here")

// Client speaks to a daemon over its control socket.
type Client struct {
	path string
	http http.Client
}

// NewClient makes a client of the socket at path; it connects when asked.
func NewClient(path string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &Client{path, http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DialContext: dial}}}
}

// Status asks for the latest cycle.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var st Status
	err := c.do(ctx, http.MethodGet, "/v1/status", nil, &st)
	return st, err
}

// Pin sets an operator's wish for one transfer, and tells what became of it.
func (c *Client) Pin(ctx context.Context, id watchdog.TransferID, p PinRequest) (PinAnswer, error) {
	var a PinAnswer
	err := c.do(ctx, http.MethodPost, "/v1/transfers/"+url.PathEscape(string(id))+"/pin", p, &a)
	return a, err
}

// do makes one request and decodes the answer into out unless it is nil.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://lifeline"+path, body)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.explain(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return fmt.Errorf("control socket %s: %w", c.path, err)
	}
	if resp.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(b, &f) != nil || f.Error == "" {
			f.Error = resp.Status
		}
		return errors.New(f.Error)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(b, out)
}

// explain says what to do about the usual ways to fail.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("%w (control socket %s): start it with `lifeline run`, or name its socket with --socket", ErrNoDaemon, c.path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("control socket %s: permission denied: run as root, or join the group named by socket_group", c.path)
	}
	return fmt.Errorf("control socket %s: %w", c.path, err)
}
