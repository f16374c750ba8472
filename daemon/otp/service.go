package otp

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/limit"
	"pinward/daemon/outbox"
	"pinward/store"
)

// Service is a named policy for verifications.
type Service struct {
	Name         string        `json:"name"`                    // as in "portal-login"; unique
	SID          string        `json:"sid"`                     // "VA" and 32 hex digits; fixed once given
	FriendlyName string        `json:"friendly_name,omitempty"` // what the client calls it
	CodeLength   int           `json:"code_length"`             // digits, MinCode to MaxCode
	Life         time.Duration `json:"life"`                    // from the start, at most MaxLife
	Window       time.Duration `json:"window,omitempty"`        // if set, each hand-over to the network opens the check for so long, never past the life
	Route        []outbox.Step `json:"route"`                   // how channel "auto" goes; "sms" takes its SMS steps
	Template     string        `json:"template"`                // name of the text template
	Purpose      string        `json:"purpose,omitempty"`       // what the text says the code is for: a key of text.Values.SetPurpose
	Amount       bool          `json:"amount,omitempty"`        // the text names an amount and a payee
	Fresh        bool          `json:"fresh,omitempty"`         // a resend carries a new code
	Desk         bool          `json:"desk,omitempty"`          // staff sit with the patient: a call only when asked for
	Staff        bool          `json:"staff,omitempty"`         // only authenticated staff may start it
	DoNotShare   bool          `json:"do_not_share,omitempty"`  // the text says so; else it says to tell only the staff in front of you
	AutofillHost string        `json:"autofill_host,omitempty"` // last line "@host #code" for iOS and browsers
	AndroidHash  string        `json:"android_hash,omitempty"`  // 11 characters of SMS Retriever, last line
	CustomCodes  bool          `json:"custom_codes,omitempty"`  // the client may bring the code; recorded as asserted
	Asserted     bool          `json:"asserted,omitempty"`      // the client may approve by itself; recorded as asserted
	Replace      bool          `json:"replace,omitempty"`       // a new text overwrites the last on the handset (TP-PID 0x41)
	TextBack     bool          `json:"text_back,omitempty"`     // the code texted back to our SIM counts as a check
	Reference    bool          `json:"reference,omitempty"`     // each code is bound to an action, which the check must name
	Bound        bool          `json:"bound,omitempty"`         // only numbers that are the subject's for a day, or proven in person
	MaxSends     int           `json:"max_sends,omitempty"`     // 0 = as limit.Limits says
	MaxChecks    int           `json:"max_checks,omitempty"`    // 0 = as limit.Limits says
	Retired      bool          `json:"retired,omitempty"`       // no longer started; what is pending goes on
}

// Bounds of a service.
const (
	MaxLife    = 10 * time.Minute // NIST SP 800-63B 3.1.3.2
	MinLife    = 30 * time.Second
	BoundAfter = 24 * time.Hour // a changed number may be used for a Bound service after this
)

// sends and checks are how many a verification of this service has.
func (s Service) sends(l limit.Limits) int  { return fewer(s.MaxSends, l.Sends) }
func (s Service) checks(l limit.Limits) int { return fewer(s.MaxChecks, l.Checks) }

func fewer(own, all int) int {
	if own > 0 {
		return min(own, all)
	}
	return all
}

// ActionService is the entry of a changed service.
const ActionService store.Action = "service.save"

var (
	services = store.NewTable[Service]("otp.services", store.Policy(), store.Cached()) // key: name
	// sids finds a service by its SID.
	sids = store.NewTable[string]("otp.services.sid", store.Policy(), store.Cached())
)

// DefaultRoute is the way of a code unless its service says otherwise: SMS;
// without a receipt 15 s after the network took it, another carrier; then a
// call.
func DefaultRoute() []outbox.Step {
	return []outbox.Step{
		{Channel: outbox.SMS, Wait: 15 * time.Second},
		{Channel: outbox.SMS, Wait: 15 * time.Second, OtherCarrier: true},
		{Channel: outbox.Call},
	}
}

// Shipped returns the services that every box has until its operator changes
// them. Their SIDs are the same on every box.
func Shipped() []Service {
	base := func(name, purpose string, set func(*Service)) Service {
		s := Service{
			Name: name, SID: shippedSID(name), FriendlyName: name, CodeLength: 6, Life: 5 * time.Minute,
			Route: DefaultRoute(), Template: "verification", Purpose: purpose, DoNotShare: true, Replace: true,
		}
		set(&s)
		return s
	}
	const window = 90 * time.Second
	return []Service{
		base("patient-signup", "signup", func(s *Service) {}),
		base("portal-login", "login", func(s *Service) { s.Window = window }),
		base("appointment-booking", "booking", func(s *Service) {}),
		base("telemedicine-join", "telemedicine", func(s *Service) { s.Life = MaxLife }),
		base("prescription-pickup", "prescription", func(s *Service) { s.Desk, s.DoNotShare = true, false }),
		base("lab-release", "lab", func(s *Service) { s.Window, s.Reference, s.Bound = window, true, true }),
		base("billing", "billing", func(s *Service) {
			s.Template, s.Amount, s.Reference, s.Bound = "verification.billing", true, true, true
		}),
		base("consent-signature", "consent", func(s *Service) { s.Reference, s.Bound = true, true }),
		base("staff-login", "staff", func(s *Service) { s.Window, s.Staff = window, true }),
	}
}

func shippedSID(name string) string {
	sum := sha256.Sum256([]byte("pinward service " + name))
	return "VA" + hex.EncodeToString(sum[:16])
}

// NewSID makes the SID of a service that is not shipped.
func NewSID() string { return newID("VA") }

// SaveService writes a service: a new one, or another version of the one with
// its name. A missing SID is kept or made.
func SaveService(tx *store.Tx, s Service) (Service, error) {
	old, err := FindService(tx, s.Name)
	switch {
	case err == nil:
		if s.SID != "" && s.SID != old.SID {
			return Service{}, errors.New("save service: sid cannot change")
		}
		s.SID = old.SID
	case !errors.Is(err, ErrUnknownService):
		return Service{}, err
	case s.SID == "":
		s.SID = NewSID()
	}
	if err := s.validate(); err != nil {
		return Service{}, fmt.Errorf("save service: %w", err)
	}
	if other, ok, err := sids.Get(tx, []byte(s.SID)); err != nil {
		return Service{}, fmt.Errorf("save service: %w", err)
	} else if ok && other != s.Name {
		return Service{}, errors.New("save service: sid is taken")
	}
	if err := services.Put(tx, []byte(s.Name), s); err != nil {
		return Service{}, fmt.Errorf("save service: %w", err)
	}
	if err := sids.Put(tx, []byte(s.SID), s.Name); err != nil {
		return Service{}, fmt.Errorf("save service: %w", err)
	}
	return s, tx.Record(store.Entry{Action: ActionService, Outcome: store.OK, Object: s.SID, Attrs: []store.Attr{
		{Key: "name", Value: s.Name}, {Key: "code_length", Value: fmt.Sprint(s.CodeLength)}, {Key: "life", Value: s.Life.String()},
	}})
}

func (s Service) validate() error {
	switch {
	case s.Name == "" || len(s.Name) > 64 || !isName(s.Name):
		return errors.New("name must be 1 to 64 of a-z, 0-9, dash, dot")
	case len(s.SID) != 34 || s.SID[:2] != "VA" || !isHex(s.SID[2:]):
		return errors.New("sid must be VA and 32 hex digits")
	case s.CodeLength < MinCode || s.CodeLength > MaxCode:
		return fmt.Errorf("code length must be %d to %d", MinCode, MaxCode)
	case s.Life < MinLife || s.Life > MaxLife:
		return fmt.Errorf("life must be %v to %v", MinLife, MaxLife)
	case s.Window < 0 || s.Window > s.Life:
		return errors.New("window must be within the life")
	case len(s.Route) == 0 || len(s.Route) > 8:
		return errors.New("route must have 1 to 8 steps")
	case s.Template == "":
		return errors.New("template is missing")
	case s.AndroidHash != "" && len(s.AndroidHash) != 11:
		return errors.New("android hash must have 11 characters")
	case s.AndroidHash != "" && s.AutofillHost != "":
		return errors.New("android hash and autofill host exclude each other: both want the last line")
	case s.MaxSends < 0 || s.MaxSends > 5 || s.MaxChecks < 0 || s.MaxChecks > 5:
		return errors.New("sends and checks must be at most 5")
	case s.Reference && (s.CustomCodes || s.Asserted):
		return errors.New("a service with a reference takes neither custom codes nor asserted approvals")
	}
	return nil
}

// Install writes the shipped services that the store does not hold yet, so that
// what a box does is written down and changes only by an entry.
func Install(tx *store.Tx) error {
	for _, s := range Shipped() {
		if _, ok, err := services.Get(tx, []byte(s.Name)); err != nil {
			return fmt.Errorf("install service: %w", err)
		} else if ok {
			continue
		}
		if _, err := SaveService(tx, s); err != nil {
			return err
		}
	}
	return nil
}

// FindService finds a service by name or SID, the stored ones before the
// shipped ones.
func FindService(tx *store.Tx, nameOrSID string) (Service, error) {
	if nameOrSID == "" {
		return Service{}, ErrUnknownService
	}
	name := nameOrSID
	if strings.HasPrefix(nameOrSID, "VA") { // no name has capitals
		known, ok, err := sids.Get(tx, []byte(nameOrSID))
		if err != nil {
			return Service{}, fmt.Errorf("find service: %w", err)
		}
		if ok {
			name = known
		}
	}
	s, ok, err := services.Get(tx, []byte(name))
	if err != nil {
		return Service{}, fmt.Errorf("find service: %w", err)
	}
	if ok {
		return s, nil
	}
	for _, s := range Shipped() {
		if s.Name == nameOrSID || s.SID == nameOrSID {
			return s, nil
		}
	}
	return Service{}, ErrUnknownService
}

// Services lists all services by name, the stored ones in place of the shipped
// ones of the same name.
func Services(tx *store.Tx) ([]Service, error) {
	byName := make(map[string]Service)
	for _, s := range Shipped() {
		byName[s.Name] = s
	}
	err := services.Each(tx, store.Range{}, func(_ []byte, s Service) error {
		byName[s.Name] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list services: %w", err)
	}
	out := make([]Service, 0, len(byName))
	for _, s := range byName {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Service) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

func newID(prefix string) string {
	var b [16]byte
	rand.Read(b[:])
	return prefix + hex.EncodeToString(b[:])
}

func isHex(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && c != '-' && c != '.' {
			return false
		}
	}
	return true
}
