package api

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ModemFigures is what an administrator graphs of one modem. The counts are since the daemon started.
type ModemFigures struct {
	Name                            string
	SignalDBm                       int     // 0 is unknown
	PartSeconds                     float64 // of late
	MinuteUsed, MinuteCap           int     // parts of the SIM's budget; a cap of 0 is none
	DayUsed, DayCap                 int
	Sent, NotSent, Refused, Unknown uint64 // messages, by what became of the hand-over
	Parts                           uint64
	Resets, Reboots, Calls          int
	SelfTest                        float64 // 1 the last one went well, 0 it failed, -1 there was none
	Troubles                        []string
}

var (
	descSignal   = prometheus.NewDesc("pinward_modem_signal_dbm", "Signal; absent while it is unknown.", []string{"modem"}, nil)
	descPartTime = prometheus.NewDesc("pinward_modem_part_seconds", "How long the network takes for one part, of late.", []string{"modem"}, nil)
	descBudget   = prometheus.NewDesc("pinward_sim_budget_used", "Parts that the SIM was given in the last minute and day.", []string{"modem", "per"}, nil)
	descCap      = prometheus.NewDesc("pinward_sim_budget", "Parts that the SIM may be given; absent where there is no cap.", []string{"modem", "per"}, nil)
	descHandOver = prometheus.NewDesc("pinward_modem_handovers_total", "Messages given to the modem, by outcome.", []string{"modem", "outcome"}, nil)
	descParts    = prometheus.NewDesc("pinward_modem_parts_total", "Parts that the network took.", []string{"modem"}, nil)
	descResets   = prometheus.NewDesc("pinward_modem_restarts_total", "Restarts: ordered, or by itself.", []string{"modem", "by"}, nil)
	descCalls    = prometheus.NewDesc("pinward_modem_calls_total", "Calls that came in.", []string{"modem"}, nil)
	descSelfTest = prometheus.NewDesc("pinward_modem_selftest", "1 if the last self-test went well, 0 if not; absent before the first.", []string{"modem"}, nil)
	descTrouble  = prometheus.NewDesc("pinward_modem_trouble", "1 for each trouble that somebody should see to.", []string{"modem", "trouble"}, nil)
)

func describeFigures(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descSignal, descPartTime, descBudget, descCap, descHandOver, descParts, descResets, descCalls, descSelfTest, descTrouble} {
		ch <- d
	}
}

func (f ModemFigures) collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{f.Name}, labels...)...)
	}
	count := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, append([]string{f.Name}, labels...)...)
	}
	if f.SignalDBm != 0 {
		gauge(descSignal, float64(f.SignalDBm))
	}
	gauge(descPartTime, f.PartSeconds)
	gauge(descBudget, float64(f.MinuteUsed), "minute")
	gauge(descBudget, float64(f.DayUsed), "day")
	if f.MinuteCap > 0 {
		gauge(descCap, float64(f.MinuteCap), "minute")
	}
	if f.DayCap > 0 {
		gauge(descCap, float64(f.DayCap), "day")
	}
	count(descHandOver, float64(f.Sent), "sent")
	count(descHandOver, float64(f.NotSent), "notsent")
	count(descHandOver, float64(f.Refused), "refused")
	count(descHandOver, float64(f.Unknown), "unknown")
	count(descParts, float64(f.Parts))
	count(descResets, float64(f.Resets), "order")
	count(descResets, float64(f.Reboots), "itself")
	count(descCalls, float64(f.Calls))
	if f.SelfTest >= 0 {
		gauge(descSelfTest, f.SelfTest)
	}
	seen := map[string]bool{}
	for _, t := range f.Troubles {
		if !seen[t] {
			seen[t] = true
			gauge(descTrouble, 1, t)
		}
	}
}

// BackupFigures are what an administrator graphs of the backups.
type BackupFigures struct {
	Made     time.Time // of the last whole one; zero if there was none
	Bytes    int64     // of the last nightly one
	Failed   bool      // the last nightly one was not made
	Proven   time.Time // when one was last restored whole for a check
	Unproven bool      // the last such check failed
}

var (
	descBackup   = prometheus.NewDesc("pinward_backup_timestamp_seconds", "When the last whole backup was made; absent before the first.", nil, nil)
	descBackupOK = prometheus.NewDesc("pinward_backup_ok", "1 unless the last nightly backup failed.", nil, nil)
	descBytes    = prometheus.NewDesc("pinward_backup_bytes", "Size of the last nightly backup.", nil, nil)
	descProven   = prometheus.NewDesc("pinward_backup_restored_timestamp_seconds", "When a backup was last restored whole for a check; absent before.", nil, nil)
	descProves   = prometheus.NewDesc("pinward_backup_restores", "1 unless the last backup that was restored for a check was no good.", nil, nil)
)

func describeBackup(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{descBackup, descBackupOK, descBytes, descProven, descProves} {
		ch <- d
	}
}

func (f BackupFigures) collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64) { ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	is := map[bool]float64{true: 1}
	if !f.Made.IsZero() {
		gauge(descBackup, float64(f.Made.Unix()))
	}
	gauge(descBackupOK, is[!f.Failed])
	gauge(descBytes, float64(f.Bytes))
	if !f.Proven.IsZero() {
		gauge(descProven, float64(f.Proven.Unix()))
	}
	gauge(descProves, is[!f.Unproven])
}
