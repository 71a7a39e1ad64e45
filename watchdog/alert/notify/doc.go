// Package notify brings events to receivers: one Worker for each, which takes events
// from the spool, encodes them as the receiver's type wants it (json.go, webhook.go,
// alertmanager.go, pagerduty.go, slack.go, ping.go, template.go) and sends them by
// HTTP until they are accepted, refused or dropped. Events come in; requests and
// figures about them go out. It never decides what an event says or whom it is for,
// and no secret that it reads is in its errors, its log or its figures.
package notify
