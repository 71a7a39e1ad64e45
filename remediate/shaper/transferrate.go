package shaper

import (
	"fmt"
	"maps"

	"lifeline/watchdog"
)

// TransferRate is an incoming transfer that is to be held at a rate of its own. A window
// sets no rate on a short path: the least one that the kernel honours is more than
// a LAN has under way, so a class of its own does it.
type TransferRate struct {
	Transfer watchdog.Transfer
	Rate     float64 // bytes/s of payload that are wanted
	InForce  float64 // bytes/s that it is held at; 0 when it is not
	Err      error   // why it is not held
}

// wantedClass is what one class of a single transfer should be.
type wantedClass struct {
	transfer watchdog.Transfer
	rate     float64 // bytes/s of payload
	bucket   tokenBucket
	err      error
}

const (
	// wirePerPayload is what a segment takes on the wire over its payload: 1514 bytes
	// with Ethernet's header for 1448 (RFC 793, RFC 791, RFC 7323).
	wirePerPayload = 1514.0 / 1448
	// transferRateShare is the part of a link's rate that transfers with a rate of their own
	// may have together while others share the link.
	transferRateShare = 7.0 / 8
	// maxTransferClasses is how many transfers of a link may have a rate of their own: each is
	// a filter that every packet in the ifb is compared with.
	maxTransferClasses = 64
	// transferQueueTime is the length of a class's queue in seconds at its rate. It is
	// met only until the clamped window binds; then that is what waits.
	transferQueueTime = 0.1
	// minTransferQueue is room for two packets as GRO puts them together, in bytes.
	minTransferQueue = 160 << 10
)

// queueBytes is the length of the queue of a class, in bytes.
func (s tokenBucket) queueBytes() uint32 {
	return uint32(max(minTransferQueue, float64(s.rate)*transferQueueTime))
}

// withTransferRates are the shapers that are needed: those of rates, and where transfers have
// rates of their own.
func withTransferRates(rates map[watchdog.ShaperKey]float64, perTransfer map[watchdog.ShaperKey][]TransferRate) map[watchdog.ShaperKey]float64 {
	if len(perTransfer) == 0 {
		return rates
	}
	out := maps.Clone(rates)
	if out == nil {
		out = map[watchdog.ShaperKey]float64{}
	}
	for k, list := range perTransfer {
		if _, ok := out[k]; !ok && len(list) > 0 {
			out[k] = 0
		}
	}
	return out
}

// divideRate gives each transfer in perTransfer what it may have of a link's rate (bytes/s on
// the wire; 0 for no bound), and tells what is left for the class that the others
// share. One that uses less than it may leaves the rest to them.
func divideRate(rate float64, perTransfer []TransferRate, others bool) (classes []wantedClass, left float64) {
	if len(perTransfer) == 0 {
		return nil, rate
	}
	part, sum := 1.0, 0.0
	for i := range perTransfer {
		sum += perTransfer[i].Rate * wirePerPayload
	}
	bound := rate
	if others {
		bound *= transferRateShare
	}
	if rate > 0 && sum > bound {
		part = bound / sum
	}
	left = rate
	for i := range perTransfer {
		o := &perTransfer[i]
		may := o.Rate * part
		classes = append(classes, wantedClass{transfer: o.Transfer, rate: may})
		left -= wirePerPayload * min(may, max(1.2*o.Transfer.Rate, may/8))
	}
	return classes, max(left, rate*(1-transferRateShare))
}

// setBuckets turns the rates into class parameters.
func (s *HTB) setBuckets(classes []wantedClass) {
	for i := range classes {
		c := &classes[i]
		c.bucket, c.err = bucketFor(c.rate*wirePerPayload, s.hz)
	}
}

// refuseRates tells transfers why none of them is held.
func refuseRates(perTransfer []TransferRate, err error) {
	for i := range perTransfer {
		perTransfer[i].InForce, perTransfer[i].Err = 0, err
	}
}

// reportRates tells transfers what they are held at.
func reportRates(perTransfer []TransferRate, classes []wantedClass) {
	for i := range perTransfer {
		if perTransfer[i].Err = classes[i].err; perTransfer[i].Err == nil {
			perTransfer[i].InForce = classes[i].rate
		}
	}
}

// errTooMany says that a link bears no more classes of single transfers.
func errTooMany() error {
	return fmt.Errorf("%d transfers of this link have rates of their perTransfer, and no more can", maxTransferClasses)
}
