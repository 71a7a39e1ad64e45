package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"lifeline/cmd/lifeline/scenario"
	"lifeline/watchdog/lab"
	"lifeline/watchdog/web"
)

// answer is what the daemon said of itself.
type answer struct {
	At     time.Duration // since the transfers' start
	Status web.Status
}

// course is how a run went.
type course struct {
	line  string
	r     scenario.Result
	asked []answer
}

// write puts three files into dir: .txt for reading, .jsonl with each whole status,
// .log with what the daemon wrote.
func (c course) write(dir, name string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	stem := fmt.Sprintf("%s-%s", time.Now().Format("150405"), strings.NewReplacer(" ", "-", "/", "").Replace(name))
	whole, err := c.whole()
	if err != nil {
		return err
	}
	for ext, b := range map[string][]byte{".txt": c.text(), ".jsonl": whole, ".log": []byte(c.r.Log)} {
		if err := os.WriteFile(filepath.Join(dir, stem+ext), b, 0o644); err != nil {
			return err
		}
	}
	fmt.Println("  course:", filepath.Join(dir, stem+".txt"))
	return nil
}

func (c course) whole() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for _, a := range c.asked {
		if err := enc.Encode(a); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

const courseHead = `Seconds since the transfers' start; the controllers of the links that have transfers
(rates in Mbit/s), the sum of all windows wanted in KB (with how many transfers have one)
and of all pacing in Mbit/s; "|" and every RTT in ms of requests sent since the line
before ("-" is lost); conditions where they change.
`

// text is a line for each answer.
func (c course) text() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n%s\n", c.line, courseHead)
	var before time.Duration
	var stood string
	for _, a := range c.asked {
		fmt.Fprintf(&b, "%6.2f %s | %s\n", a.At.Seconds(), controllers(a.Status), samples(c.r.RTT.Between(before, a.At)))
		if now := conditions(a.Status); now != stood {
			fmt.Fprintf(&b, "       conditions: %s\n", evidence(a.Status))
			stood = now
		}
		before = a.At
	}
	return b.Bytes()
}

func controllers(st web.Status) string {
	var words []string
	for _, c := range st.Control {
		if c.Transfers == 0 && c.Limited == 0 {
			continue
		}
		w := fmt.Sprintf("%s %-9s rate %6.1f capacity %6.1f shaper %6.1f delay %s recent %s limited %d/%d", c.Direction, c.Phase,
			c.Rate*8/1e6, c.Capacity*8/1e6, c.Shaper*8/1e6,
			delay(c.Delay.Queue, c.Delay.Known), delay(c.Delay.Recent, c.Delay.RecentKnown), c.Limited, c.Transfers)
		switch {
		case c.PathEmpty:
			w += " quiet"
		case c.BaseProbe:
			w += " sounding"
		case c.Moving:
			w += " moving"
		}
		if c.Why != "" {
			w += fmt.Sprintf(" (%s)", c.Why)
		}
		words = append(words, w+limits(st.Transfers))
	}
	return strings.Join(words, "; ")
}

// limits sums up what is wanted of the transfers.
func limits(ts []web.Transfer) string {
	var windows int64
	var pacing float64
	var windowed, paced, shaped, paused int
	for _, t := range ts {
		if t.Limit.Window > 0 {
			windowed++
			windows += t.Limit.Window
		}
		if t.Limit.Pacing > 0 {
			paced++
			pacing += t.Limit.Pacing
		}
		if t.Limit.Shape {
			shaped++
		}
		if t.Limit.Pause {
			paused++
		}
	}
	return fmt.Sprintf(" windows %.0f (%d) pacing %.1f (%d) shaped %d paused %d",
		float64(windows)/1e3, windowed, pacing*8/1e6, paced, shaped, paused)
}

func samples(s lab.Series) string {
	var words []string
	for _, v := range s {
		if v.Lost {
			words = append(words, "-")
			continue
		}
		words = append(words, ms(v.RTT))
	}
	return strings.Join(words, " ")
}

// conditions names those that stand.
func conditions(st web.Status) string {
	var words []string
	for _, c := range st.Conditions {
		words = append(words, fmt.Sprintf("%s(%s)", c.Name, c.Subject))
	}
	return strings.Join(words, "; ")
}

// evidence tells what they rest on.
func evidence(st web.Status) string {
	var words []string
	for _, c := range st.Conditions {
		words = append(words, fmt.Sprintf("%s(%s): %s", c.Name, c.Subject, c.Evidence))
	}
	return strings.Join(words, "; ")
}
