package spool

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
)

// packed begins an event that is deflated (RFC 1951) with packDictionary; one
// that is not begins with "{". Another dictionary takes another number.
const packed = 1

// maxEvent bounds what an event unpacks to: 32 conditions with their texts
// are about 50 kB.
const maxEvent = 1 << 20

// packDictionary is what events have in common, the commonest last. It belongs
// to the format of the file: changing it makes packed events unreadable.
const packDictionary = `NotOurQueueRemedyFailedUnprotectedProbeBlindRebootUnsafeRebootUnknownLinkErrorsLinkDownManagementUnreachable` +
	`,"conditions_omitted":,"minor":true,"test":true,"flapping":true,"reasons":["condition","flapping","unsilenced","cause","cleared","joined","severity"]` +
	` (for now) (over after m0s) and more, errors on link remedy failed queue on is not made by rsync probe cannot look unprotected management unreachable` +
	`"kind":"reminder""kind":"updated""kind":"resolved""severity":"info""severity":"critical" silent for , queueing delay ms, transfers  Mbit/s of 100.0 Mbit/s` +
	`{"version":"1","id":"20260101-000000000-0000-1","kind":"firing","at":"2026-01-01T00:00:00.000Z","host":"","severity":"warning","summary":": link eth0 rx saturated",` +
	`"incident":{"id":"20260101-000000000-0000","sequence":1,"started":"2026-01-01T00:00:00.000Z","ended":"2026-01-01T00:00:00.000Z",` +
	`"cause":{"condition":"LinkSaturated","subject":"eth0 rx","evidence":""}},` +
	`"conditions":[{"condition":"LinkSaturated","subject":"eth0 tx","severity":"warning","status":"resolved","since":"2026-01-01T00:00:00.000Z","ended":"2026-01-01T00:00:00.000Z","evidence":"` +
	`"conditions":[{"condition":"LinkSaturated","subject":"eth0 tx","severity":"warning","status":"firing","since":"2026-01-01T00:00:00.000Z","evidence":""}]}`

// packer makes events small for the disk: a spool of 100 MB then holds several
// times as many. It keeps its tables between events, for they are large.
type packer struct {
	w   *flate.Writer
	out bytes.Buffer
}

// pack gives the event packed, or as it is where that would not be smaller.
func (p *packer) pack(raw []byte) []byte {
	p.out.Reset()
	p.out.WriteByte(packed)
	if p.w == nil {
		w, err := flate.NewWriterDict(&p.out, flate.DefaultCompression, []byte(packDictionary))
		if err != nil {
			return raw
		}
		p.w = w
	} else {
		p.w.Reset(&p.out)
	}
	if _, err := p.w.Write(raw); err != nil || p.w.Close() != nil || p.out.Len() >= len(raw) {
		return raw
	}
	return bytes.Clone(p.out.Bytes())
}

// unpack gives the event's JSON.
func unpack(b []byte) ([]byte, error) {
	if len(b) == 0 || b[0] != packed {
		return b, nil
	}
	r := flate.NewReaderDict(bytes.NewReader(b[1:]), []byte(packDictionary))
	out, err := io.ReadAll(io.LimitReader(r, maxEvent))
	if err != nil {
		return nil, fmt.Errorf("unpack event: %w", err)
	}
	return out, nil
}
