// Package control decides how much of a link the rsync transfers may use, so
// that whoever manages the host can always get in over it.
//
// In comes one [Input] per step: the time, the link's rate, the delay of probes and
// what is known of each transfer. Out goes one [Output]: a window, a pacing rate or a
// place in a shaper for each transfer, who is paused, and when the next step is wanted.
// It never reads a clock, touches the kernel or remembers anything outside of its
// [Controller], so the same code runs in the daemon, in the closed-loop simulation of
// its tests and in replay. One Controller serves one direction of one link. Rates are
// bytes per second everywhere, windows are bytes, times are monotonic seconds.
//
// # The loop
//
//	Input -> estimate -> attribute -> budget -> escalate -> schedule -> share -> output
//	            ^                       |
//	            +------ actuation ------+
//
// [Controller.Step] is this line. The estimators (model) fill a sample, which nobody
// writes to afterwards, and say what part of its delay may be a queue of ours
// (evidence). Attribution takes off what is another's. The law moves one number, the
// budget: the rate of all transfers together. Escalation and scheduler say who runs,
// and the budget is shared among those.
//
// # Estimating
//
// The delay is that above the RTT of the empty path, as in LEDBAT (RFC 6817, and for
// receivers rLEDBAT, RFC 9840), because that is what an ssh session feels and because
// it is there before anything is lost. A delay is old when it arrives; how old is told
// or judged by how often it changes. Noise is told from queues by its falls: a queue
// that builds up never falls from one probe to the next. The capacity is what passes
// while a queue stands, or what all bytes in flight took to arrive (flightEstimator).
//
// # Whose queue it is
//
// When our rate fell by 30 % for 5 s because of us and the delay stayed, or when the
// delay is longer than all our windows together can make it, it is not ours
// (responseTest). What remains of the delay is then set aside and the budget goes back
// to where it was. Only what comes on top counts, until the assumption is tested again
// after ever longer times. So a longer route, a full link beyond ours and a rival that
// never gives way cost a few seconds, not the night. The direction that carries little
// beside the other is not cut for the other's queue. A target whose queue no transfer
// meets is not believed (crossCheck).
//
// # The budget
//
// Sending, it becomes pacing rates; receiving, windows of rate x (path RTT + target), so
// that a budget equal to the capacity makes a queue of the target; with a shaper, its
// rate.
//
// A new set of transfers is limited from its first step. The budget starts small, or at
// half of what the link is known to bear, and grows exponentially until delay
// answers (ramp). A rate that is too high fills a queue as its integral, so the
// growth is chosen by the age of the delay: what is added before the news
// arrives stays below 25 ms. Then the queue drains at a rate below what the
// link delivered when the queue began, which is what went in one feedback delay ago
// less what stayed (drain; the idea of BBR, Cardwell et al., ACM Queue 14(5),
// 2016). A drain that ends sooner than its cut can have worked takes the cut
// back (as F-RTO undoes a timeout, RFC 5682). Then the budget follows the shape of
// CUBIC (RFC 9438) around that rate: quickly up to it, a plateau, and on beyond it when
// no queue appears (cruiseRate). Windows make a queue in proportion, so that they need
// neither drain nor sawtooth: they are held where the queue is between half the target
// and the target (cruiseWindow). A budget that is not used does not grow (RFC 7661): no
// idle application saves up a burst. New transfers arrive with a burst that no limit has
// met yet; it is not taken for the capacity.
//
// Once the capacity is confirmed by a standing queue, the budget is handed to a
// shaper where one can be had: sooner cut, later raised, nearer to the capacity
// (handOver). That a shaper behind the bottleneck needs more room, and that the delay
// steers its rate, is known from cake-autorate. Windows stay beside an ingress shaper
// and bound the queue should its rate be wrong. What a ramp took for the capacity
// may have been bursts of 64 KB that met; an egress shaper cuts them to frames, so
// once it stands the budget probes for more at once until a queue shows (probesUp, as
// BBR's ProbeBW_UP). A top that is only remembered, or was found on a restless path, is
// doubted in the same way, until the queue is met at the same rate (confidence).
//
// Where no delay can be measured and no capacity is known, what passes is the
// evidence (openLoopLaw): the budget grows while all of it is used, and limits that
// nothing asks for are let go by 5 % a second, as long as more passes with each step.
//
// # When limits are not enough
//
// When every window is at its floor and the delay still stands, as many run as
// the delay suggests, in turns, and one more whenever it has been calm for a
// while that doubles each time it was too soon (escalation). Everything is paused only
// while management cannot get in over a link that is busy with rsync (outage); when that
// does not help, rsync was not the reason and runs again. A cap on running transfers
// uses the same turns (scheduler). Nothing is ever paused that may not be, and an
// operator's own pause or rate stands above all of this.
//
// Shares are max-min fair: who wants less than its part leaves the rest to the
// others (Bertsekas and Gallager, Data Networks, 6.5.2).
//
// # Parameters
//
// Each part's constants stand at the head of its file, with their units. Those that
// shape the whole:
//
//	target            5 ms     queue that is held                   CoDel, RFC 8289 4.2
//	engage            10 ms    queue that is too long               twice the target
//	startRate         5 Mbit/s first budget                         chosen
//	leastRate         1 Mbit/s what rsync keeps                     chosen; or 2 % of the capacity
//	rampEndPart       0.6      of the target: queue that ends a ramp          by simulation
//	rampQueue         25 ms    queue that a ramp may add before it shows        by simulation
//	drainDepth        0.5-0.9  of what was delivered, while a queue drains    by simulation
//	headPacing        0.95     of the top: where a cruise begins (shaper: 0.96 rx, 0.98 tx)  by simulation
//	periodPacing      4 s      from there to the top (shaper: 20 s)           by simulation
//	kneeShaped        0.3      of the target: queue that is too long while a shaper stands   by simulation
//	responseFor       5 s      of a low rate and a delay that stays: not ours chosen
//	overFor           1 s      at the floor with a long delay: fewer run      chosen
//	allMost           45 s     of everything paused without any use           chosen
//	quantum           60 s     of a turn                                      chosen
//
// "By simulation" is: the scenes of this package's tests pass with it, and it was found
// by trying values there and in the namespace lab. None of these has a proof.
package control
