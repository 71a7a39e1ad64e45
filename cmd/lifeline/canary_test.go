package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"lifeline/configs"
	"lifeline/remediate/undo"
	"lifeline/watchdog"
	"lifeline/watchdog/alert/incident"
	"lifeline/watchdog/ledger"
	"lifeline/watchdog/printable/printabletest"
	"lifeline/watchdog/web"
)

// What the commands print beside a status and incidents.
func TestCommandsKeepOffTheTerminal(t *testing.T) {
	var b strings.Builder
	cmd := &cobra.Command{}
	cmd.SetOut(&b)
	var e ledger.Entry
	printabletest.Fill(&e, 1)
	report := undo.Report{Damage: []string{printabletest.Text}, Results: []undo.Result{{Entry: e}, {Entry: e, Err: errors.New(printabletest.Text)}}}
	unread := tellRelease(cmd, "/x"+printabletest.Text, report)
	if unread == nil {
		t.Error("an unreadable line is no failure")
	}
	var incidents []incident.Incident
	printabletest.Fill(&incidents, 1)
	if err := showIncidents(&b, incidents); err != nil {
		t.Fatal(err)
	}
	complain(&b, unread)
	complain(&b, fmt.Errorf("%s: %w", printabletest.Text, errors.Join(errors.New("ours"), errors.New(printabletest.Text))))
	b.WriteString(configs.AbsentLink("eth0", []string{printabletest.Text}) + "\n")
	if evil := printabletest.Escaped(strings.ReplaceAll(b.String(), "[2J\n", "[2J ")); evil != "" { // an error has lines of its own
		t.Errorf("%s", evil)
	}
}

// A line of the log is one line, and does nothing to who reads it.
func TestLogKeepsOffTheTerminal(t *testing.T) {
	const evil = printabletest.Text
	for _, format := range []string{"text", "json"} {
		var b strings.Builder
		log := slog.New(logHandler(configs.Log{Format: format}, &b))
		log.Warn("said "+evil, "text", evil, "error", errors.New(evil), "transfer", watchdog.TransferID(evil), "list", []string{evil},
			"status", web.PageStatus{Err: evil}, slog.Group("group", "in", evil))
		log.With("with", evil).Error(evil)
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if len(lines) != 2 {
			t.Errorf("%s: two messages are %d lines: %q", format, len(lines), b.String())
		}
		for _, line := range lines {
			if format == "text" && printabletest.Escaped(line) != "" {
				t.Errorf("%s", printabletest.Escaped(line))
			}
			if format == "json" && !json.Valid([]byte(line)) {
				t.Errorf("no JSON: %q", line)
			}
		}
	}
}
