// Package web is Lifeline's local face, beside its log. In come the report of each
// cycle and what an operator asks for over the control socket; out go the status, the
// incidents, metrics and health, as JSON and as text. It never decides: a request is
// handed to the loop, and no reader, however slow, holds the loop up.
package web
