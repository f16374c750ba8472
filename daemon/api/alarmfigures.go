package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pinward/daemon/alarm"
	"pinward/store"
)

var (
	descAlarms = prometheus.NewDesc("pinward_alarms", "Alarms that are not over.", []string{"severity", "acknowledged"}, nil)
	descTest   = prometheus.NewDesc("pinward_alarm_test_timestamp_seconds", "When a test of the alarms last reached everybody; 0 if never.", nil, nil)
	descPlan   = prometheus.NewDesc("pinward_maintenance", "1 while planned maintenance is on.", nil, nil)
	descBeat   = prometheus.NewDesc("pinward_heartbeat_timestamp_seconds", "When the daily heartbeat last reached everybody it is for; 0 if never, absent where the policy has none.", nil, nil)
)

func describeAlarms(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descAlarms, descTest, descPlan, descBeat} {
		ch <- d
	}
}

// collectAlarms is what a monitor outside watches: that somebody is told, and that the box is alive.
func (g gauges) collectAlarms(tx *store.Tx, ch chan<- prometheus.Metric) error {
	f, err := alarm.FiguresOf(tx)
	if err != nil {
		return err
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	for s, n := range f.Open {
		gauge(descAlarms, float64(f.Unseen[s]), string(s), "no")
		gauge(descAlarms, float64(n-f.Unseen[s]), string(s), "yes")
	}
	planned := 0.0
	if g.o.Maintenance != nil && g.o.Maintenance() {
		planned = 1
	}
	gauge(descPlan, planned)
	gauge(descTest, seconds(f.TestPassed))
	if f.Beats {
		gauge(descBeat, seconds(f.HeartbeatPassed))
	}
	return nil
}

func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
