package spool

import (
	"encoding/json"
	"strings"

	"lifeline/watchdog/alert/incident"
)

// State is what the file holds of the daemon's earlier run.
type State struct {
	Open     []*incident.Open
	Silences []incident.Silence
	Posted   map[string]map[string][]byte // by receiver and fingerprint: alerts at Alertmanagers
}

// stateOf reads the values of an opened file; what cannot be read is logged and
// forgotten.
func (s *Spool) stateOf(held map[key][]byte) State {
	st := State{Posted: map[string]map[string][]byte{}}
	for k, v := range held {
		switch k.bucket {
		case string(bucketOpen):
			var inc incident.Open
			if err := json.Unmarshal(v, &inc); err != nil {
				s.log.Warn("an open incident cannot be read; it is forgotten", "incident", k.key, "error", err)
				continue
			}
			st.Open = append(st.Open, &inc)
		case string(bucketSilences):
			var sil incident.Silence
			if err := json.Unmarshal(v, &sil); err != nil {
				s.log.Warn("a silence cannot be read; it is forgotten", "silence", k.key, "error", err)
				continue
			}
			st.Silences = append(st.Silences, sil)
		case string(bucketTables):
			receiver, fingerprint, _ := strings.Cut(k.key, "\x00")
			if st.Posted[receiver] == nil {
				st.Posted[receiver] = map[string][]byte{}
			}
			st.Posted[receiver][fingerprint] = v
		}
	}
	return st
}

// Record takes what the lifecycle asks for: events to be sent, incidents to be
// kept. It does not wait for the disk.
func (s *Spool) Record(out incident.Output) {
	puts := map[key][]byte{}
	for _, inc := range out.Changed {
		puts[key{string(bucketOpen), inc.ID}] = encode(inc)
	}
	for _, inc := range out.Closed {
		puts[key{string(bucketOpen), inc.ID}] = nil
		puts[key{string(bucketHistory), inc.ID}] = encode(inc.Incident)
	}
	for _, sil := range out.Expired {
		puts[key{string(bucketSilences), sil.ID}] = nil
	}
	s.packing.Lock()
	defer s.packing.Unlock()
	var entries []queuedEvent
	for _, o := range out.Events {
		entries = append(entries, queuedEvent{incident: Digest(o.Event.IncidentID()), raw: s.packer.pack(encode(o.Event)), to: o.To})
	}
	s.append(entries, puts)
}

// encode writes what is known to be writable: strings, numbers and times.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		return []byte("null")
	}
	return b
}

// SaveSilence keeps a silence beyond a restart.
func (s *Spool) SaveSilence(sil incident.Silence) {
	s.append(nil, map[key][]byte{{string(bucketSilences), sil.ID}: encode(sil)})
}

// DeleteSilences drops silences by their ids.
func (s *Spool) DeleteSilences(ids []string) {
	puts := map[key][]byte{}
	for _, id := range ids {
		puts[key{string(bucketSilences), id}] = nil
	}
	s.append(nil, puts)
}

// SavePosted keeps what an Alertmanager was told, by fingerprint; nil is no
// longer kept.
func (s *Spool) SavePosted(receiver string, changed map[string][]byte) {
	puts := map[key][]byte{}
	for fingerprint, v := range changed {
		puts[key{string(bucketTables), receiver + "\x00" + fingerprint}] = v
	}
	s.put(puts)
}
