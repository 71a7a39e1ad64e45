package incident

import (
	"lifeline/watchdog"
)

// Weight orders severities; an unknown one is a warning.
func Weight(s watchdog.Severity) int {
	switch s {
	case watchdog.Info:
		return 1
	case watchdog.Critical:
		return 3
	default:
		return 2
	}
}

// worse is the heavier severity.
func worse(a, b watchdog.Severity) watchdog.Severity {
	if a == "" || b != "" && Weight(b) > Weight(a) {
		return b
	}
	return a
}
