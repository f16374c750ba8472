package api

import (
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Figure is one figure of the box at the time of a scrape. The program makes them: this door knows only
// how they are shown. A name belongs to one help text, one kind and one set of labels.
type Figure struct {
	Name  string
	Help  string
	Value float64
	Count bool // it only grows, until the daemon starts anew
	// Labels hold words of the configuration and of the program, never anything of a patient's or a client's.
	Labels map[string]string
}

func (f Figure) metric() (prometheus.Metric, error) {
	keys := slices.Sorted(maps.Keys(f.Labels))
	values := make([]string, 0, len(keys))
	for _, k := range keys {
		values = append(values, f.Labels[k])
	}
	kind := prometheus.GaugeValue
	if f.Count {
		kind = prometheus.CounterValue
	}
	return prometheus.NewConstMetric(prometheus.NewDesc(f.Name, f.Help, keys, nil), kind, f.Value, values...)
}

// boxFigures shows them. It describes none before it is asked, so that the program may add to them
// without this door.
type boxFigures struct{ o Options }

// Describe implements prometheus.Collector.
func (boxFigures) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (b boxFigures) Collect(ch chan<- prometheus.Metric) {
	for _, f := range b.o.Box() {
		m, err := f.metric()
		if err != nil {
			b.o.Log.Error("show figure", "figure", f.Name, "error", err)
			continue
		}
		ch <- m
	}
}
