package api

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"pinward/daemon/health"
	"pinward/daemon/outbox"
	"pinward/store"
)

// healthz says that the process answers; it asks nothing else.
func (a *api) healthz(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, "ok")
}

// readyz says whether a code would be accepted now, and then one line for each check of the health
// tree. It asks by the way of a start, through the writer, so a store that is full or stuck is not
// ready. It needs no login and shows no details.
func (a *api) readyz(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	switch err := a.Store.Accept(ctx, nobody, outbox.Accepting); {
	case err == nil:
		fmt.Fprintln(w, "ready")
	case errors.Is(err, store.ErrFull):
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready: the disk is full")
	default:
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprintln(w, "not ready: a code would not be accepted now")
	}
	checkLines(w, "", a.Health())
}

func checkLines(w io.Writer, above string, n health.Node) {
	name := above + n.Name
	fmt.Fprintf(w, "%s: %s\n", name, n.State)
	for _, c := range n.Children {
		checkLines(w, name+"/", c)
	}
}

// metrics counts requests, and reads the rest when it is asked. No label holds anything of a
// patient's or a client's.
type metrics struct {
	log      *slog.Logger
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

func newMetrics(o Options) *metrics {
	m := &metrics{
		log:      cmp.Or(o.Log, slog.Default()),
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pinward_http_requests_total", Help: "Requests to the API by route and status class.",
		}, []string{"route", "class"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "pinward_http_request_seconds", Help: "How long requests to the API took, by route.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, 1, 5},
		}, []string{"route"}),
	}
	m.registry.MustRegister(m.requests, m.seconds, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), gauges{o})
	if o.Box != nil {
		m.registry.MustRegister(boxFigures{o})
	}
	return m
}

// patience bounds what a monitor waits for, so that a store that is busy does not collect waiting
// monitors.
const patience = 5 * time.Second

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
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
func (m *metrics) count(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		sw := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(sw, r)
		m.requests.WithLabelValues(r.Pattern, strconv.Itoa(sw.status/100)+"xx").Inc()
		took := time.Since(began)
		m.seconds.WithLabelValues(r.Pattern).Observe(took.Seconds())
		if m.log.Enabled(r.Context(), slog.LevelDebug) { // the route, and never the path: that may hold anything
			m.log.Debug("request", "route", r.Pattern, "status", sw.status, "took", took)
		}
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
	descOldest  = prometheus.NewDesc("pinward_queue_oldest_seconds", "How long the oldest message in line has been due; 0 if there is none.", []string{"lane"}, nil)
	descPaused  = prometheus.NewDesc("pinward_lane_paused", "1 while somebody holds the lane.", []string{"lane"}, nil)
	descAccepts = prometheus.NewDesc("pinward_accepting", "1 if a verification would be accepted now.", nil, nil)
	descInfo    = prometheus.NewDesc("pinward_build_info", "Always 1.", []string{"version"}, nil)
)

// Describe implements prometheus.Collector.
func (gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descReady, descQueue, descOnAir, descOldest, descPaused, descAccepts, descEntries, descHealth, descInfo} {
		ch <- d
	}
	describeFigures(ch)
	describeAlarms(ch)
	describeBackup(ch)
}

// Collect implements prometheus.Collector.
func (g gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(descInfo, 1, g.o.Version)
	if g.o.Backup != nil {
		g.o.Backup().collect(ch)
	}
	if g.o.Figures != nil {
		for _, f := range g.o.Figures() {
			f.collect(ch)
		}
	}
	gauge(descHealth, float64(g.o.Health().Worst()))
	ch <- prometheus.MustNewConstMetric(descEntries, prometheus.CounterValue, float64(g.o.Store.Stats().Entries))
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := g.o.Store.View(ctx, func(tx *store.Tx) error {
		lanes, err := outbox.Depth(tx)
		if err != nil {
			return err
		}
		for _, l := range lanes {
			gauge(descQueue, float64(l.Due), l.Lane.String())
			gauge(descOnAir, float64(l.OnAir), l.Lane.String())
			oldest := 0.0
			if !l.Oldest.IsZero() {
				oldest = max(0, tx.Now().Sub(l.Oldest).Seconds())
			}
			gauge(descOldest, oldest, l.Lane.String())
			gauge(descPaused, one(l.Paused), l.Lane.String())
		}
		if err := g.collectAlarms(tx, ch); err != nil {
			return err
		}
		_, _, full := g.o.Store.Room()
		gauge(descAccepts, one(outbox.Accepting(tx) == nil && full == nil))
		senders, err := outbox.Senders(tx)
		for _, s := range senders {
			gauge(descReady, one(s.Ready), s.Name, s.Carrier)
		}
		return err
	})
	if err != nil {
		g.o.Log.Error("read metrics", "error", err)
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
