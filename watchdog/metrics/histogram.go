package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Upper bounds of buckets, in seconds.
var (
	rttBounds     = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	cycleBounds   = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5}
	limitBounds   = []float64{.01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	protectBounds = []float64{.1, .25, .5, 1, 2, 3, 5, 10, 30, 60}
)

// counters make the counters of a family.
func counters(f family) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: f.name, Help: f.help}, f.labels)
}

// histograms make the histograms of a family.
func histograms(f family, bounds []float64) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: f.name, Help: f.help, Buckets: bounds}, f.labels)
}

// unlabelled makes a histogram of a family without labels, or whose labels are known
// when it is shown.
func unlabelled(f family, bounds []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: f.name, Help: f.help, Buckets: bounds})
}

// labelled shows such a histogram.
func labelled(f family, h prometheus.Histogram, labels ...string) prometheus.Metric {
	var d dto.Metric
	if err := h.Write(&d); err != nil {
		return prometheus.NewInvalidMetric(f.desc, err)
	}
	by := make(map[float64]uint64, len(d.Histogram.Bucket))
	for _, b := range d.Histogram.Bucket {
		by[b.GetUpperBound()] = b.GetCumulativeCount()
	}
	return prometheus.MustNewConstHistogram(f.desc, d.Histogram.GetSampleCount(), d.Histogram.GetSampleSum(), by, labels...)
}

// collected lists the metrics of a collector, whose lock is let go before anybody
// reads them.
func collected(c prometheus.Collector) (ms []prometheus.Metric) {
	ch := make(chan prometheus.Metric)
	go func() {
		defer close(ch)
		c.Collect(ch)
	}()
	for m := range ch {
		ms = append(ms, m)
	}
	return ms
}

// observe adds a duration to a histogram, in seconds.
func observe(o prometheus.Observer, d time.Duration) { o.Observe(d.Seconds()) }
