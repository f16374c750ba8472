package outbox

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// SIM is what the hospital has on record about one of its SIM cards. Carriers block SIMs that send
// application texts without their written permission, so a SIM that has none on record carries codes
// and essential messages only.
type SIM struct {
	ICCID   string        `json:"iccid"`
	Number  contact.Phone `json:"number,omitzero"` // its own; self-tests go to it
	Owner   string        `json:"owner,omitempty"` // who signed the contract, in the hospital's words
	Carrier string        `json:"carrier,omitempty"`
	Plan    string        `json:"plan,omitempty"`

	Permission Permission `json:"permission,omitzero"`
	Lanes      []Lane     `json:"lanes,omitempty"` // that it may carry; empty: all that the permission allows

	// PerMinute and PerDay cap what it is given, in parts; half of each is kept for lane OTP. 0 is the
	// default, 10 and 200; -1 is no cap.
	PerMinute int `json:"per_minute,omitempty"`
	PerDay    int `json:"per_day,omitempty"`

	Balance Balance `json:"balance,omitzero"` // of a prepaid SIM

	Renewal     time.Time `json:"renewal,omitzero"`        // when the plan ends if nobody renews it
	PortOutLock bool      `json:"port_out_lock,omitempty"` // the carrier lets nobody take the number away
	Note        string    `json:"note,omitempty"`
}

// Permission is the carrier's written permission to send application texts from a SIM.
type Permission struct {
	Reference string    `json:"reference,omitempty"` // where the paper is; "" is no permission
	On        time.Time `json:"on,omitzero"`         // when it was given
	Until     time.Time `json:"until,omitzero"`      // zero: no end
}

// Balance is how the balance of a prepaid SIM is watched.
type Balance struct {
	Code string  `json:"code,omitempty"` // USSD, by which its carrier tells it: "*100#"; "" is not prepaid
	Low  float64 `json:"low,omitempty"`  // in the carrier's currency: warn at it or below
}

// What a SIM is given where its record says nothing (modem reference 5.7).
const (
	usualPerMinute = 10
	usualPerDay    = 200
)

// Actions on the records of SIMs. Object is the ICCID.
const (
	ActionSIMSet     store.Action = "sim.set"
	ActionSIMRemoved store.Action = "sim.removed"
)

// String shows the last four digits of the ICCID only.
func (s SIM) String() string { return "sim:.." + s.ICCID[max(0, len(s.ICCID)-4):] }

// GoString redacts for %#v.
func (s SIM) GoString() string { return s.String() }

// LogValue redacts for log/slog.
func (s SIM) LogValue() slog.Value { return slog.StringValue(s.String()) }

// Format redacts for every verb of fmt.
func (s SIM) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

var sims = store.NewTable[SIM]("outbox.sims", store.Blinded(0), store.Cached())

func simKey(tx *store.Tx, iccid string) []byte { return tx.Blind("outbox.sim.record", iccid) }

// SetSIM keeps the record of a SIM, new or changed. What did not change leaves no entry. The error is
// an *InvalidError for what the caller got wrong.
func SetSIM(tx *store.Tx, s SIM) error {
	if err := s.check(); err != nil {
		return err
	}
	s.Permission.On, s.Permission.Until, s.Renewal = s.Permission.On.UTC(), s.Permission.Until.UTC(), s.Renewal.UTC()
	s.Lanes = slices.Compact(slices.Sorted(slices.Values(s.Lanes)))
	was, known, err := SIMOf(tx, s.ICCID)
	if err != nil {
		return err
	}
	attrs := s.changes(was)
	if known && len(attrs) == 0 {
		return nil
	}
	if err := sims.Put(tx, simKey(tx, s.ICCID), s); err != nil {
		return fmt.Errorf("keep SIM: %w", err)
	}
	// What it may carry, and how much, is decided anew.
	tx.Signal(Due)
	tx.Signal(Changed)
	return tx.Record(store.Entry{Action: ActionSIMSet, Outcome: store.OK, Object: s.ICCID, Attrs: attrs})
}

const longestSIMText = 200

func (s SIM) check() error {
	bad := func(field, reason string) error { return &InvalidError{Of: "SIM", Field: field, Reason: reason} }
	if s.ICCID == "" || len(s.ICCID) > 32 || strings.ContainsFunc(s.ICCID, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return bad("iccid", "is not 1 to 32 visible characters")
	}
	for _, f := range []struct{ name, text string }{
		{"owner", s.Owner}, {"carrier", s.Carrier}, {"plan", s.Plan}, {"permission", s.Permission.Reference}, {"note", s.Note},
	} {
		if len(f.text) > longestSIMText {
			return bad(f.name, fmt.Sprintf("is longer than %d bytes", longestSIMText))
		}
	}
	for _, l := range s.Lanes {
		if l < OTP || l > Bulk {
			return bad("lanes", "has one that is none of otp, notice, bulk")
		}
	}
	if b := s.Balance; len(b.Code) > 20 || strings.Trim(b.Code, "0123456789*#") != "" {
		return bad("balance", "has a code that is not up to 20 of digits, * and #")
	} else if b.Low < 0 || b.Low > 1e9 || b.Low != b.Low {
		return bad("balance", "has a low mark that is no amount")
	}
	p := s.Permission
	switch {
	case s.PerMinute < -1 || s.PerDay < -1:
		return bad("caps", "are less than -1")
	case p.Reference == "" && !(p.On.IsZero() && p.Until.IsZero()):
		return bad("permission", "has dates and no reference")
	case !p.Until.IsZero() && !p.Until.After(p.On):
		return bad("permission", "ends before it is given")
	}
	return nil
}

// changes names the fields that differ, with their new values; of the number and the note it says
// only that they changed.
func (s SIM) changes(was SIM) []store.Attr {
	var out []store.Attr
	add := func(changed bool, key, value string) {
		if changed {
			out = append(out, store.Attr{Key: key, Value: value})
		}
	}
	day := func(t time.Time) string {
		if t.IsZero() {
			return "none"
		}
		return t.Format(time.RFC3339)
	}
	lanes := make([]string, 0, len(s.Lanes))
	for _, l := range s.Lanes {
		lanes = append(lanes, l.String())
	}
	p, old := s.Permission, was.Permission
	add(s.Number != was.Number, "number", "changed")
	add(s.Owner != was.Owner, "owner", s.Owner)
	add(s.Carrier != was.Carrier, "carrier", s.Carrier)
	add(s.Plan != was.Plan, "plan", s.Plan)
	add(p.Reference != old.Reference, "permission", p.Reference)
	add(!p.On.Equal(old.On), "permission_on", day(p.On))
	add(!p.Until.Equal(old.Until), "permission_until", day(p.Until))
	add(!slices.Equal(s.Lanes, was.Lanes), "lanes", strings.Join(lanes, " "))
	add(s.PerMinute != was.PerMinute, "per_minute", strconv.Itoa(s.PerMinute))
	add(s.PerDay != was.PerDay, "per_day", strconv.Itoa(s.PerDay))
	add(s.Balance.Code != was.Balance.Code, "balance_code", s.Balance.Code)
	add(s.Balance.Low != was.Balance.Low, "balance_low", strconv.FormatFloat(s.Balance.Low, 'f', -1, 64))
	add(!s.Renewal.Equal(was.Renewal), "renewal", day(s.Renewal))
	add(s.PortOutLock != was.PortOutLock, "port_out_lock", strconv.FormatBool(s.PortOutLock))
	add(s.Note != was.Note, "note", "changed")
	return out
}

// SIMOf finds the record of a SIM.
func SIMOf(tx *store.Tx, iccid string) (SIM, bool, error) {
	s, ok, err := sims.Get(tx, simKey(tx, iccid))
	if err != nil {
		return SIM{}, false, fmt.Errorf("read SIM: %w", err)
	}
	s.Lanes = slices.Clone(s.Lanes)
	return s, ok, nil
}

// SIMs lists the records of all SIMs, by ICCID.
func SIMs(tx *store.Tx) ([]SIM, error) {
	var out []SIM
	err := sims.Each(tx, store.Range{}, func(_ []byte, s SIM) error {
		s.Lanes = slices.Clone(s.Lanes)
		out = append(out, s)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list SIMs: %w", err)
	}
	slices.SortFunc(out, func(a, b SIM) int { return strings.Compare(a.ICCID, b.ICCID) })
	return out, nil
}

// RemoveSIM forgets the record of a SIM, which then carries codes and essential messages only.
// ErrNotFound if there is none.
func RemoveSIM(tx *store.Tx, iccid string) error {
	if _, ok, err := SIMOf(tx, iccid); err != nil {
		return err
	} else if !ok {
		return ErrNotFound
	}
	if err := sims.Delete(tx, simKey(tx, iccid)); err != nil {
		return fmt.Errorf("forget SIM: %w", err)
	}
	tx.Signal(Due)
	tx.Signal(Changed)
	return tx.Record(store.Entry{Action: ActionSIMRemoved, Outcome: store.OK, Object: iccid})
}

// permitted tells whether the carrier's permission holds now.
func (s SIM) permitted(now time.Time) bool {
	p := s.Permission
	return p.Reference != "" && !now.Before(p.On) &&
		(p.Until.IsZero() || now.Before(p.Until)) && (s.Renewal.IsZero() || now.Before(s.Renewal))
}

// carries tells whether the SIM may carry a lane now; essential messages ask nobody.
func (s SIM) carries(l Lane, now time.Time) bool {
	return (len(s.Lanes) == 0 || slices.Contains(s.Lanes, l)) && (l == OTP || s.permitted(now))
}

// caps are the budgets in force, 0 for none.
func (s SIM) caps() (perMinute, perDay int) {
	in := func(n, usual int) int {
		switch n {
		case 0:
			return usual
		case -1:
			return 0
		}
		return n
	}
	return in(s.PerMinute, usualPerMinute), in(s.PerDay, usualPerDay)
}
