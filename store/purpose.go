package store

import "time"

// Purpose is what a sealing key is for. Keys of one purpose follow each other by epochs.
type Purpose uint8

// The purposes. Each table has one; that of a table without an option is PurposeData.
const (
	PurposeData    Purpose = iota // what has no other purpose; a key a month
	PurposeAudit                  // bodies of entries; a key a month, dropped by Shred alone
	PurposeQueue                  // what is gone within days; a key a day, dropped two days after its last value
	PurposePolicy                 // settings, templates, rules; a key a year, kept after it last was in effect
	PurposeConsent                // what people agreed to; as policy
	purposes
)

// purposeCode and purposeBackup are in entries; these keys seal no value.
const (
	purposeCode   = "code"
	purposeBackup = "backup"
)

var purposeNames = [purposes]string{"data", "audit", "queue", "policy", "consent"}

// String is the purpose as it stands in entries.
func (p Purpose) String() string {
	if p < purposes {
		return purposeNames[p]
	}
	return "unknown"
}

// ParsePurpose is the inverse of String.
func ParsePurpose(s string) (Purpose, bool) {
	for p, name := range purposeNames {
		if name == s {
			return Purpose(p), true
		}
	}
	return 0, false
}

// Queue says that a table's values are gone within days: outgoing messages, verifications, parts of
// texts. They are sealed under a key of the day. What stands there longer is sealed anew, so that the
// old key can be dropped, and with it every trace of what was there.
func Queue() TableOption { return func(t *tableInfo) { t.purpose = PurposeQueue } }

// Policy says that a table holds what somebody decided: settings, templates, rules.
func Policy() TableOption { return func(t *tableInfo) { t.purpose = PurposePolicy } }

// Consents says that a table holds what people agreed to.
func Consents() TableOption { return func(t *tableInfo) { t.purpose = PurposeConsent } }

// Retention is how long the keys of entries, consents and policy are kept at least: 45 CFR 164.316(b)(2)(i)
// asks for six years from the making or from when it last was in effect.
const Retention = 6*365*24*time.Hour + 2*24*time.Hour

const (
	queueIdle = 2  // days from the last value under a queue key to its end
	dataIdle  = 35 // the same of a data key
)

// period numbers the time for which a key of the purpose is made, in UTC.
func (p Purpose) period(t time.Time) uint32 {
	switch p {
	case PurposeQueue:
		return day(t)
	case PurposePolicy, PurposeConsent:
		return uint32(t.Year())
	}
	return month(t)
}

// span is the time that a period stands for.
func (p Purpose) span(period uint32) (from, to time.Time) {
	switch p {
	case PurposeQueue:
		from = time.Unix(int64(period)*86400, 0).UTC()
		return from, from.AddDate(0, 0, 1)
	case PurposePolicy, PurposeConsent:
		from = time.Date(int(period), 1, 1, 0, 0, 0, 0, time.UTC)
		return from, from.AddDate(1, 0, 0)
	}
	from = time.Date(int(period/12), time.Month(period%12+1), 1, 0, 0, 0, 0, time.UTC)
	return from, from.AddDate(0, 1, 0)
}

// idle is how many days a key outlives the last value under it; 0 is for ever.
func (p Purpose) idle(keep time.Duration) uint32 {
	switch p {
	case PurposeQueue:
		return queueIdle
	case PurposeData:
		return dataIdle
	case PurposePolicy, PurposeConsent:
		return uint32(keep / (24 * time.Hour))
	}
	return 0
}
