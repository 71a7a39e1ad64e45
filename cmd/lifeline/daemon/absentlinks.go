package daemon

import (
	"log/slog"
	"slices"

	"lifeline/configs"
	"lifeline/watchdog"
)

// absentLinks follows which links have settings and are not there. That is no error,
// for a link may come later, but a typing mistake looks just the same.
type absentLinks struct {
	cfg  configs.Config
	log  *slog.Logger
	gone []string
}

// look takes one cycle and gives what is to be said in the status. The log gets
// what changed. Where links could not be seen, nothing is.
func (a *absentLinks) look(s watchdog.Snapshot) []string {
	if s.Blind(watchdog.ProbeNIC) || len(a.cfg.Link) < 2 { // there is always the default's table
		return nil
	}
	names := make([]string, len(s.Links))
	for i, l := range s.Links {
		names[i] = l.Name
	}
	gone := a.cfg.Absent(names)
	var said []string
	for _, name := range gone {
		said = append(said, configs.AbsentLink(name, names))
		if !slices.Contains(a.gone, name) {
			a.log.Warn("settings for a link that is not there", "link", name, "why", said[len(said)-1])
		}
	}
	for _, name := range a.gone {
		if !slices.Contains(gone, name) {
			a.log.Info("the link that settings are for is there", "link", name)
		}
	}
	a.gone = gone
	return said
}
