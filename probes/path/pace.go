package path

import "time"

// Every wake-up of the process costs more than the packet, so requests go out
// with the daemon's own tick. While transfers run, their answers are read with the
// next one; else a Pinger waits for each.
const (
	sprintEvery        = 50 * time.Millisecond  // while transfers have just begun or a queue has just been seen; or with every tick
	sprintFor          = 3 * time.Second        // and then
	closeEvery         = 100 * time.Millisecond // while the queue stands
	sprintPause        = 15 * time.Second       // from one sprint's start to the next, unless transfers begin
	steadyEvery        = 200 * time.Millisecond // while transfers run and the queue is small
	calmEvery          = 400 * time.Millisecond // while it has been small for
	calmAfter          = 10 * time.Second
	secondEvery        = time.Second // targets that only confirm, while transfers run
	idleEvery          = 2 * time.Second
	idleSecond         = 10 * time.Second
	learnEvery         = 250 * time.Millisecond // while idle and the base is not known yet
	learnTries         = 3 * idleAnswers        // for so many requests; what other traffic hides is waited for
	doubtEvery         = time.Second            // targets that are new, late or silent
	doubtFor           = time.Minute            // of silence
	firstTries         = 10
	neverAnsweredEvery = time.Minute // targets that never answered
	leastWait          = time.Second // for an answer to a single request
	mostWait           = 3 * time.Second
)

// situation is what a target's pace depends on.
type situation struct {
	fast    bool // transfers are active
	primary bool // the link's delay is taken from this target
	sprint  bool // a sprint is on
	high    bool // a queue is seen, or an answer is overdue
	calm    bool // neither was for long
	heard   bool // it answered before
	tries   int  // requests so far
	learns  bool // the RTT of its empty path is not known yet
	silence time.Duration
	slowest time.Duration // of the last answers
}

// pace is how a target is asked.
type pace struct {
	every time.Duration
	wait  time.Duration // of the Pinger, for the answer; 0 when the Echo is asked
}

func (s situation) pace() pace {
	single := func(every time.Duration) pace {
		return pace{every: every, wait: min(max(leastWait, 3*s.slowest), mostWait)}
	}
	turns := func(every time.Duration) pace { return pace{every: every} }
	switch {
	case !s.heard && s.tries < firstTries:
		return single(doubtEvery)
	case !s.heard:
		return single(neverAnsweredEvery)
	case !s.fast && s.learns && s.tries < learnTries && s.silence == 0:
		return single(learnEvery)
	case s.silence > doubtFor:
		return single(idleSecond)
	case s.silence > 0:
		return single(doubtEvery)
	case s.fast && s.primary && s.sprint:
		return turns(sprintEvery)
	case s.fast && s.primary && s.high:
		return turns(closeEvery)
	case s.fast && s.primary && s.calm:
		return turns(calmEvery)
	case s.fast && (s.primary || s.high || s.sprint):
		return turns(steadyEvery)
	case s.fast:
		return turns(secondEvery)
	case s.high:
		return single(doubtEvery)
	case s.primary:
		return single(idleEvery)
	default:
		return single(idleSecond)
	}
}
