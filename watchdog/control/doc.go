// Package control decides how much of a link the rsync transfers may use, so
// that whoever manages the host can always get in over it.
//
// It is pure: time, measurements and settings come in as values, limits go
// out. It reads no clock and touches no kernel, so the same code runs in the
// daemon, in the closed-loop simulation of its tests and in replay. One
// Controller serves one direction of one link. Rates are bytes per second
// everywhere, windows are bytes, times are monotonic.
//
// # The budget
//
// The controller holds one number, the total rate of all transfers, and
// divides it: sending, into pacing rates; receiving, into windows of rate x
// (path RTT + target), so that a budget equal to the capacity makes a queue of
// the target, 5 ms as in CoDel (RFC 8289); with a shaper, into its rate. What
// it looks at is delay above the RTT of the empty path, as LEDBAT does (RFC
// 6817), because that is what an ssh session feels and because it is there
// before anything is lost.
//
// A new set of transfers is limited from birth. The budget starts small, or at
// half of what the link is known to bear, and grows exponentially until delay
// answers (ramp). A rate that is too high fills a queue as its integral, so the
// growth is chosen by the age of the delay: what is added before the news
// arrives stays below 25 ms. Then the queue drains at a rate below what the
// link bore when the queue began, which is what went in one feedback delay ago
// less what stayed (drain; the idea of BBR, Cardwell et al., ACM Queue 14(5),
// 2016). Then the budget follows the shape of CUBIC (RFC 9438) around that rate:
// quickly up to it, a plateau, and on beyond it when no queue appears (cruise).
// Windows make a queue in proportion, so that they need neither drain nor
// sawtooth: they are held where the queue is between half the target and the
// target. A budget that is not used does not grow (RFC 7661): no idle
// application saves up a burst.
//
// Once the capacity is confirmed by a standing queue, the budget is handed to a
// shaper where one can be had: sooner cut, later raised, nearer to the capacity.
// That a shaper behind the bottleneck needs more room, and that the delay steers
// its rate, is known from cake-autorate. Windows stay beside an ingress shaper
// and bound the queue should its rate be wrong. What a ramp took for the capacity
// may have been bursts of 64 KB that met; an egress shaper cuts them to frames, so
// once it stands the budget climbs at once until a queue shows (climb).
// A top that is only remembered, or was found on a restless path, is doubted in
// the same way, again and again until the queue is met at the same rate (proof).
//
// # Evidence
//
// A delay is old when it arrives; how old is told or judged by how often it
// changes. A drain that ends sooner than its cut can have worked takes the cut
// back (as F-RTO undoes a timeout, RFC 5682). Noise is told from queues by their
// falls: a queue that builds up never falls from one probe to the next. New
// transfers arrive with a burst that no limit has met yet; it is not taken for
// the capacity.
//
// Where no delay can be measured and no capacity is known, what passes is the
// evidence (unseen): the budget grows while all of it is used, and limits that nothing
// asks for are let go by 5 % a second, as long as more passes with each step.
//
// Whose queue is it? When our rate fell by 30 % for 5 s because of us and the
// delay stayed, or when the delay is longer than all our windows together can
// make it, it is not ours. What remains of the delay is then set aside and the
// budget goes back to where it was. Only what comes on top counts, until the
// assumption is tested again after ever longer times. So a longer route, a full
// link beyond ours and a rival that never gives way cost a few seconds, not the
// night. The direction that carries little beside the other is not cut for the
// other's queue.
//
// # Fewer
//
// When every window is at its floor and the delay still stands, as many run as
// the delay suggests, in turns, and one more whenever it has been calm for a
// while that doubles each time it was too soon. Everything is paused only while
// management cannot get in over a link that is busy with rsync; when that does
// not help, rsync was not the reason and runs again. A cap on running transfers
// uses the same turns. Nothing is ever paused that may not be, and an
// operator's own pause or rate stands above all of this.
//
// Shares are max-min fair: who wants less than its part leaves the rest to the
// others (Bertsekas and Gallager, Data Networks, 6.5.2).
package control
