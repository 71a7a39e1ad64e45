package notify

import (
	"encoding/json"

	"lifeline/watchdog/alert/incident"
)

const jsonType = "application/json"

// encodeJSON is our own payload.
func encodeJSON(ev incident.Event) ([]byte, string, error) {
	b, err := json.Marshal(ev)
	return b, jsonType, err
}
