package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pinward/daemon/access"
	"pinward/daemon/outbox"
	"pinward/store"
)

func getHealth(a *api, _ *http.Request, _ *store.Tx, _ access.Principal) (any, error) {
	return a.Health(), nil
}

// healthz says that the process answers; it asks nothing else.
func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "ok")
}

// readyz says whether a code would be accepted now, with one line for each cause why not. It needs no
// login and shows no details.
func (a *api) readyz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	causes := a.Health().Causes()
	err := a.Store.View(r.Context(), outbox.Accepting)
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "a code would not be accepted now")
	} else {
		fmt.Fprintln(w, "ready")
	}
	for _, c := range causes {
		fmt.Fprintf(w, "%s: %s\n", c.Path[len(c.Path)-1], c.State)
	}
}

// metrics counts requests, and reads the rest when it is asked. No label holds anything of a
// patient's or a client's.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
}

func newMetrics(o Options) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinward_http_requests_total", Help: "Requests to the API by route and status class.",
		}, []string{"route", "class"}),
	}
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), gauges{o})
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// statusWriter remembers the status for the counter.
type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// count counts by route pattern, so that no path with an id becomes a label.
func (m *metrics) count(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		mux.ServeHTTP(sw, r)
		m.requests.WithLabelValues(r.Pattern, fmt.Sprintf("%dxx", sw.status/100)).Inc()
	})
}

// gauges are read from the store and the health tree at each scrape.
type gauges struct{ o Options }

var (
	descReady   = prometheus.NewDesc("pinward_modem_ready", "1 while the modem can send.", []string{"modem", "carrier"}, nil)
	descQueue   = prometheus.NewDesc("pinward_queue_depth", "Messages in line for a modem.", []string{"lane"}, nil)
	descOnAir   = prometheus.NewDesc("pinward_on_air", "Messages in the hands of modems.", []string{"lane"}, nil)
	descEntries = prometheus.NewDesc("pinward_audit_entries_total", "Entries of the audit so far.", nil, nil)
	descHealth  = prometheus.NewDesc("pinward_health", "0 ok, 1 unknown, 2 warn, 3 fail: the worst of the tree.", nil, nil)
	descInfo    = prometheus.NewDesc("pinward_build_info", "Always 1.", []string{"version"}, nil)
)

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReady, descQueue, descOnAir, descEntries, descHealth, descInfo} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descInfo, 1, g.o.Version)
	gauge(descHealth, float64(g.o.Health().Worst()))
	ch <- prometheus.MustNewConstMetric(descEntries, prometheus.CounterValue, float64(g.o.Store.Stats().Entries))
	ctx, cancel := scrapeContext()
	defer cancel()
	err := g.o.Store.View(ctx, func(tx *store.Tx) error {
		lanes, err := outbox.Depth(tx)
		if err != nil {
			return err
		}
		for _, l := range lanes {
			gauge(descQueue, float64(l.Due), l.Lane.String())
			gauge(descOnAir, float64(l.OnAir), l.Lane.String())
		}
		senders, err := outbox.Senders(tx)
		for _, s := range senders {
			ready := 0.0
			if s.Ready {
				ready = 1
			}
			gauge(descReady, ready, s.Name, s.Carrier)
		}
		return err
	})
	if err != nil {
		g.o.Log.Error("read metrics", "error", err)
	}
}

// scrapeContext bounds a scrape, so that a store that is busy does not collect waiting scrapes.
func scrapeContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 5*time.Second)
}
