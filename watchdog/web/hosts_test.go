package web

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

// A page whose name was made to resolve to this host reads nothing here.
func TestHostIsChecked(t *testing.T) {
	p := &Page{Listen: "127.0.0.1:0", Hosts: []string{"metrics.example.org"}}
	open(t, p)
	at := address(t, p)
	_, port, _ := net.SplitHostPort(at)
	for host, want := range map[string]int{
		at: 200, "localhost:" + port: 200, "LOCALHOST.": 200, "[::1]:" + port: 200, "192.0.2.7": 200, "[fe80::1]": 200,
		"metrics.example.org": 200, "Metrics.Example.org:443": 200, "metrics.example.org.": 200,
		"evil.example": 421, "evil.example:" + port: 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421,
		"x.metrics.example.org": 421, "[::1].evil.example": 421, "127.0.0.1:1:1": 421,
	} {
		for _, path := range []string{"/metrics", "/healthz", "/readyz", "/"} {
			if path == "/readyz" && want == 200 {
				continue // it has its own reason not to be ready
			}
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+at+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("Host %q %s: %d, want %d", host, path, resp.StatusCode, want)
			}
		}
	}
}

func TestMisdirectedIsExplained(t *testing.T) {
	p := &Page{Listen: "127.0.0.1:0"}
	open(t, p)
	c := dial(t, "tcp", address(t, p), 1, "GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n")[0]
	if said := readAll(t, c); !strings.Contains(said, "421 Misdirected Request") || !strings.Contains(said, `"evil.example"`) || !strings.Contains(said, "[web] hosts") {
		t.Errorf("%s", said)
	}
	// HTTP/1.0 knows no Host; no browser speaks it.
	c = dial(t, "tcp", address(t, p), 1, "GET /healthz HTTP/1.0\r\n\r\n")[0]
	if said := readAll(t, c); !strings.HasPrefix(said, "HTTP/1.0 200 ") {
		t.Errorf("%s", said)
	}
}

func readAll(t *testing.T, c net.Conn) string {
	t.Helper()
	var b strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := c.Read(buf)
		b.Write(buf[:n])
		if err != nil {
			return fmt.Sprint(b.String())
		}
	}
}
