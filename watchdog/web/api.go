package web

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"lifeline/watchdog"
	"lifeline/watchdog/alert"
	"lifeline/watchdog/control"
)

// ErrNoTransfer means that no transfer has that name.
var ErrNoTransfer = errors.New("no such transfer: `lifeline status` lists them")

// API is what the control socket offers.
type API struct {
	Status func() Status
	// Pin sets an operator's wish, and tells what became of a transfer that is to
	// have a rate; the zero Pin takes it back.
	Pin    func(watchdog.TransferID, control.Pin) (Transfer, error)
	DryRun bool          // wishes are noted and not granted
	Alerts *alert.Alerts // nil when alerting is not at work
}

// Handler serves the API over HTTP.
//
//	GET  /v1/status                    Status
//	POST /v1/transfers/ID/pin          PinRequest, PinAnswer
func (a API) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/status", func(w http.ResponseWriter, _ *http.Request) { answer(w, a.Status()) })
	mux.HandleFunc("POST /v1/transfers/{id}/pin", a.pin)
	a.handleAlerts(mux)
	return mux
}

// PinRequest is the body of a pin: all zero takes the wish back.
type PinRequest struct {
	Pause bool    `json:"pause"`
	Rate  float64 `json:"rate"` // bytes/s; 0 for no limit
}

// PinAnswer is what became of a pin.
type PinAnswer struct {
	PinRequest
	DryRun   bool    `json:"dry_run"`          // nothing was changed
	Held     float64 `json:"held"`             // bytes/s that a transfer is held at; 0 for none
	Measured float64 `json:"measured"`         // bytes/s at which it ran when that was asked
	Unheld   string  `json:"unheld,omitempty"` // why it is not held at the rate that was asked for
	Words    string  `json:"words,omitempty"`  // all that for people
}

func (a API) pinAnswer(req PinRequest, t Transfer) PinAnswer {
	got := PinAnswer{PinRequest: req, DryRun: a.DryRun}
	if req.Rate > 0 {
		got.Held, got.Measured, got.Unheld, got.Words = t.Held(), t.Rate, t.Unheld, t.Wish()
	}
	return got
}

func (a API) pin(w http.ResponseWriter, r *http.Request) {
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4<<10))
	dec.DisallowUnknownFields()
	var req PinRequest
	if err := dec.Decode(&req); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	if req.Rate < 0 {
		refuse(w, http.StatusBadRequest, fmt.Errorf("rate %g is negative", req.Rate))
		return
	}
	t, err := a.Pin(watchdog.TransferID(r.PathValue("id")), control.Pin{Pause: req.Pause, Rate: req.Rate})
	switch {
	case errors.Is(err, ErrNoTransfer):
		refuse(w, http.StatusNotFound, err)
	case err != nil:
		refuse(w, http.StatusConflict, err)
	default:
		answer(w, a.pinAnswer(req, t))
	}
}

type failure struct {
	Error string `json:"error"`
}

func refuse(w http.ResponseWriter, code int, err error) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(failure{err.Error()}) // the client is gone: nobody to tell
}

func answer(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		refuse(w, http.StatusInternalServerError, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, string(b)+"\n") // as above
}
