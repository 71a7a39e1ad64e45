package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lifeline/watchdog/lab"
)

// webConfig lets the kernel choose the page's port.
const webConfig = "[web]\nlisten = \"127.0.0.1:0\"\n"

// get asks a server on the lab's server host, from there.
func (s *stage) get(url string) (code int, body string, err error) {
	dial := func(_ context.Context, network, address string) (c net.Conn, err error) {
		err = s.lab.Srv.Do(func() error {
			c, err = net.DialTimeout(network, address, 5*time.Second)
			return err
		})
		return c, err
	}
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	resp, err := c.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// page is where the daemon serves its page.
func (s *stage) page() string {
	s.Helper()
	var at string
	s.until("the page is served", func() bool {
		st, err := s.daemon.Status(s.Context())
		at = st.Page.Address
		return err == nil && at != ""
	})
	return "http://" + at
}

// metrics scrapes the daemon.
func (s *stage) metrics() string {
	s.Helper()
	code, body, err := s.get(s.page() + "/metrics")
	if err != nil || code != http.StatusOK {
		s.Fatalf("scrape: %d, %v\n%s", code, err, body)
	}
	return body
}

// The metrics of a real daemon tell of real transfers, and pass promtool.
func TestPageOfALivingDaemon(t *testing.T) {
	t.Parallel() // it mostly waits
	s := setStage(t, lab.Options{}, webConfig)
	s.start(lab.Transfers{N: 4, Dir: lab.Push})
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ok\n"} {
		if code, body, err := s.get(s.page() + path); err != nil || code != 200 || body != want {
			t.Errorf("%s: %d %q, %v", path, code, body, err)
		}
	}
	wants := []string{
		`lifeline_transfers{direction="rx",state="limited"} 4`,
		`lifeline_time_to_limit_seconds_count{direction="rx"} 4`,
		`lifeline_link_bytes_total{direction="rx",link="eth0"} `,
		`lifeline_link_queueing_delay_seconds{direction="rx",link="eth0"} `,
		`lifeline_probe_rtt_seconds_count{link="eth0"} `,
		`lifeline_management_state{state="reachable"} 1`,
		"lifeline_guard_up 1\n", "lifeline_guard_resident_memory_bytes ", "process_resident_memory_bytes ",
	}
	var body string
	s.until("the metrics tell of the transfers", func() bool {
		body = s.metrics()
		for _, w := range wants {
			if !strings.Contains(body, w) {
				return false
			}
		}
		return true
	})
	s.promtoolCheck(body)
}

// promtoolCheck holds a scrape against Prometheus's own linter.
func (s *stage) promtoolCheck(body string) {
	s.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		s.Skip("promtool is not installed (Debian: prometheus): the scrape is not checked by it")
	}
	cmd := exec.CommandContext(s.Context(), promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(body)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		s.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// A real Prometheus scrapes the daemon and can be asked what it saw.
func TestPrometheusScrapes(t *testing.T) {
	t.Parallel() // it mostly waits
	prometheus, err := exec.LookPath("prometheus")
	if err != nil {
		t.Skip("prometheus is not installed (Debian: prometheus)")
	}
	s := setStage(t, lab.Options{}, webConfig)
	config := filepath.Join(s.daemon.Dir, "prometheus.yml")
	text := fmt.Sprintf("global: {scrape_interval: 1s}\nscrape_configs: [{job_name: lifeline, static_configs: [{targets: [%q]}]}]\n",
		strings.TrimPrefix(s.page(), "http://"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	const at = "127.0.0.1:9090" // the lab's server has a loopback of its own
	var out strings.Builder
	cmd := s.lab.Srv.Command(t.Context(), prometheus, "--config.file="+config, "--web.listen-address="+at,
		"--storage.tsdb.path="+filepath.Join(s.daemon.Dir, "tsdb"), "--storage.tsdb.retention.time=1h")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()         // killed
		if t.Failed() {
			t.Log(out.String())
		}
	})
	queries := dashboard(t)
	for query, want := range map[string]string{
		`up{job="lifeline"}`:                        "1",
		`lifeline_guard_up`:                         "1",
		`lifeline_link_carrier{link="eth0"}`:        "1",
		`count(lifeline_turn_duration_seconds_sum)`: "1",
	} {
		var got string
		s.until("Prometheus knows "+query, func() bool {
			got, err = s.query("http://"+at, query)
			return err == nil && got == want
		})
	}
	for _, query := range queries {
		code, body, err := s.get("http://" + at + "/api/v1/query?query=" + url.QueryEscape(query))
		if err != nil || code != http.StatusOK {
			t.Errorf("the dashboard asks %s: %d, %v\n%s", query, code, err, body)
		}
	}
}

// dashboard gives the queries of the dashboard that we ship, as Grafana asks
// them.
func dashboard(t *testing.T) (queries []string) {
	t.Helper()
	b, err := os.ReadFile("../../configs/packaging/prometheus/lifeline.dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			queries = append(queries, strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(q.Expr))
		}
	}
	if len(queries) < 10 {
		t.Fatalf("only %d queries", len(queries))
	}
	return queries
}

// query asks Prometheus for the one value of an instant query.
func (s *stage) query(at, query string) (string, error) {
	code, body, err := s.get(at + "/api/v1/query?query=" + url.QueryEscape(query))
	if err != nil || code != http.StatusOK {
		return "", fmt.Errorf("%d %s: %w", code, body, err)
	}
	var answer struct {
		Data struct {
			Result []struct {
				Value [2]any // time, value
			}
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || len(answer.Data.Result) != 1 {
		return "", fmt.Errorf("%s: %d values, %w", query, len(answer.Data.Result), err)
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1]), nil
}
