package control

// fifo is a queue of bytes served at a rate, as a fluid: what arrives in one
// step of the simulation is a batch, in which the flows are mixed evenly.
type fifo struct {
	rate  float64 // bytes/s
	limit float64 // bytes
	held  float64 // bytes in the queue
	flow  []float64
	ring  []batch
	head  int
	count int
	lost  float64
}

// batch is what arrived in one step: bytes per flow.
type batch struct {
	total float64
	part  []float64
}

func newFIFO(rate, limit float64, flows int) *fifo {
	return &fifo{rate: rate, limit: limit, flow: make([]float64, flows), ring: make([]batch, 64)}
}

// delay is how long a byte that arrives now waits, in seconds.
func (q *fifo) delay() float64 { return q.held / q.rate }

// arrive queues in[f] bytes of each flow and turns what does not fit into
// lost[f].
func (q *fifo) arrive(in, lost []float64) {
	total := 0.0
	for _, b := range in {
		total += b
	}
	if total <= 0 {
		return
	}
	fit := min(1, max(0, q.limit-q.held)/total)
	if q.count == len(q.ring) {
		q.grow()
	}
	b := &q.ring[(q.head+q.count)%len(q.ring)]
	if b.part == nil {
		b.part = make([]float64, len(in))
	}
	q.count++
	for f, n := range in {
		b.part[f] = n * fit
		q.flow[f] += n * fit
		if fit < 1 && n > 0 {
			lost[f] += n * (1 - fit)
		}
	}
	b.total = total * fit
	q.held += b.total
	q.lost += total - b.total
}

func (q *fifo) grow() {
	ring := make([]batch, 2*len(q.ring))
	for i := range q.count {
		ring[i] = q.ring[(q.head+i)%len(q.ring)]
	}
	q.ring, q.head = ring, 0
}

// serve adds to out[f] what leaves within dt seconds.
func (q *fifo) serve(dt float64, out []float64) {
	left := q.rate * dt
	for left > 1e-9 && q.count > 0 {
		b := &q.ring[q.head]
		take := min(left, b.total)
		part := 1.0
		if b.total > 0 {
			part = take / b.total
		}
		for f := range b.part {
			n := b.part[f] * part
			out[f] += n
			b.part[f] -= n
			q.flow[f] -= n
		}
		b.total -= take
		q.held -= take
		left -= take
		if b.total <= 1e-6 {
			q.head = (q.head + 1) % len(q.ring)
			q.count--
		}
	}
	if q.count == 0 {
		q.held = 0
	}
}
