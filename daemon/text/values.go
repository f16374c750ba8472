package text

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Values are what goes into slots, by slot name, each in one canonical form: instants as RFC 3339,
// the rest as printed. They print as the names of the slots only.
//
// A notice keeps its Values, sealed; what is not a slot of its template is not kept (Fill). A code is
// never kept: it is set when a text is rendered.
type Values map[string]string

// Slots is the name of Values where a record keeps them.
type Slots = Values

// Names of values that are not slots of a body: lines that phones read.
const (
	autofillSlot = "autofill" // host for iOS and browsers
	androidSlot  = "android"  // app hash for Android's SMS Retriever
)

// SlotError says which slot cannot be filled and why; it never holds the value.
type SlotError struct {
	Slot   string
	Reason SlotReason
}

func (e *SlotError) Error() string { return fmt.Sprintf("slot %s: %s", e.Slot, e.Reason) }

// SlotReason is a machine-readable word.
type SlotReason string

// Reasons of a SlotError.
const (
	Missing   SlotReason = "missing"
	Unknown   SlotReason = "unknown"   // the template has no such slot
	TooLong   SlotReason = "too_long"  // beyond its size, or the whole beyond one part
	BadShape  SlotReason = "shape"     // not what the type holds
	BadHost   SlotReason = "host"      // a link to a host that is not allowed
	Forbidden SlotReason = "forbidden" // a word that tells why somebody is a patient
	FromEHR   SlotReason = "guarded"   // a word of the message that triggered the text
	Ambiguous SlotReason = "ambiguous" // the text has another group of digits as long as the code
)

// SetBrand sets the site's neutral name.
func (v Values) SetBrand(brand string) { v[string(Brand)] = brand }

// SetSite sets a place name from the site map.
func (v Values) SetSite(name string) { v[string(Site)] = name }

// SetPhone sets the number to call, as printed.
func (v Values) SetPhone(printed string) { v[string(Phone)] = printed }

// SetInstant sets the instant of a slot such as "start"; {start:date} and {start:time} print it.
func (v Values) SetInstant(slot string, at time.Time) { v[slot] = at.UTC().Format(time.RFC3339) }

// SetCode sets a code. Values with a code are for rendering only and are not kept.
func (v Values) SetCode(code string) { v[string(CodeNum)] = code }

// SetMinutes sets how long a code lives, in whole minutes: those that are full, and at least one.
func (v Values) SetMinutes(life time.Duration) {
	v[string(Minutes)] = fmt.Sprint(max(int(life/time.Minute), 1))
}

// SetPurpose sets what a code is for by its key: signup, login, booking, telemedicine, prescription,
// lab, billing, consent, staff; "" says nothing.
func (v Values) SetPurpose(key string) { v[string(Purpose)] = key }

// Keys of warnings.
const (
	NoWarning  = ""
	DoNotShare = "share" // for codes typed by the person themselves
	DeskOnly   = "desk"  // for codes told to staff at a counter
)

// SetWarning sets which warning a code carries.
func (v Values) SetWarning(key string) { v[string(Warning)] = key }

// SetAmount sets a sum in cents of US dollars and who is paid.
func (v Values) SetAmount(cents int64, payee string) {
	whole := fmt.Sprint(cents / 100)
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	v[string(Amount)] = fmt.Sprintf("$%s.%02d", whole, cents%100)
	v[string(Payee)] = payee
}

// SetLink sets a link whose host must be one of hosts.
func (v Values) SetLink(link string, hosts []string) error {
	if err := checkLink(string(Link), link); err != nil {
		return err
	}
	if err := checkHost(string(Link), link, hosts); err != nil {
		return err
	}
	v[string(Link)] = link
	return nil
}

// SetAutofill adds the last line by which iOS and browsers fill in a code, "@host #123456"
// (WICG origin-bound one-time codes).
func (v Values) SetAutofill(host string) { v[autofillSlot] = host }

// SetAndroid adds the eleven-character hash of the app that Android hands the text to.
func (v Values) SetAndroid(hash string) { v[androidSlot] = hash }

// Fill makes Values of what a client brought for a template: each slot of the right shape, none
// missing, none besides. Slots that are ours to fill (brand, purpose, warning, stop, and a code) a
// client cannot bring; the caller sets them afterwards.
func (t Template) Fill(raw map[string]string, hosts []string) (Values, error) {
	slots, err := t.Slots()
	if err != nil {
		return nil, err
	}
	v := Values{}
	for _, s := range slots {
		if s.Type.ours() {
			continue
		}
		val, ok := raw[s.Name]
		if !ok {
			return nil, &SlotError{s.Name, Missing}
		}
		if err := check(s, val); err != nil {
			return nil, err
		}
		if s.Type == Link {
			if err := checkHost(s.Name, val, hosts); err != nil {
				return nil, err
			}
		}
		v[s.Name] = val
	}
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		if _, ok := v[name]; !ok {
			return nil, &SlotError{known(slots, name), Unknown}
		}
	}
	return v, nil
}

// known keeps a name that a client made up out of errors.
func known(slots []Slot, name string) string {
	if slices.ContainsFunc(slots, func(s Slot) bool { return s.Name == name }) {
		return name
	}
	return "(not in template)"
}

func (t Type) ours() bool {
	switch t {
	case Brand, Purpose, Warning, Stop, CodeNum, Minutes:
		return true
	}
	return false
}

var (
	phoneShape  = regexp.MustCompile(`^\+?[0-9][0-9 ()./-]*[0-9]$`)
	amountShape = regexp.MustCompile(`^\$[0-9]{1,3}(,[0-9]{3}){0,2}\.[0-9]{2}$`)
	minuteShape = regexp.MustCompile(`^([1-9]|[1-5][0-9]|60)$`)
	hostShape   = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+$`)
	hashShape   = regexp.MustCompile(`^[A-Za-z0-9+/]{11}$`)
)

// check holds one value to its slot's shape, size and the forbidden words.
func check(s Slot, val string) error {
	bad := func(r SlotReason) error { return &SlotError{s.Name, r} }
	shape := func(re *regexp.Regexp, most int) error {
		if len(val) > most {
			return bad(TooLong)
		}
		if !re.MatchString(val) {
			return bad(BadShape)
		}
		return nil
	}
	switch s.Type {
	case Brand, Payee:
		return checkLabel(s.Name, val, MaxBrand)
	case Site:
		return checkLabel(s.Name, val, MaxSite)
	case Time, Date:
		if _, err := time.Parse(time.RFC3339, val); err != nil {
			return bad(BadShape)
		}
	case Phone:
		return shape(phoneShape, MaxPhone)
	case Link:
		return checkLink(s.Name, val)
	case CodeNum:
		if len(val) > 10 {
			return bad(TooLong)
		}
		if len(val) < 4 || strings.Trim(val, "0123456789") != "" {
			return bad(BadShape)
		}
	case Minutes:
		return shape(minuteShape, 2)
	case Amount:
		return shape(amountShape, 14)
	}
	return nil
}

// CheckLabel says whether a brand, a place name or a payee may stand in a text: short, on one line,
// without a group of four digits (it could be read as a code), a link or a forbidden word. Settings
// and site maps are held to it when they are saved.
func CheckLabel(label string, most int) error { return checkLabel("label", label, most) }

func checkLabel(slot, val string, most int) error {
	switch {
	case val == "":
		return &SlotError{slot, Missing}
	case utf8.RuneCountInString(val) > most:
		return &SlotError{slot, TooLong}
	case strings.TrimSpace(val) != val, strings.ContainsFunc(val, func(r rune) bool { return r < ' ' || r == 0x7f }),
		!utf8.ValidString(val), hasLongDigits(val), strings.Contains(val, "://"):
		return &SlotError{slot, BadShape}
	case forbiddenWord(val) != "":
		return &SlotError{slot, Forbidden}
	}
	return nil
}

// hasLongDigits reports whether s has a group of digits that could be read as a code.
func hasLongDigits(s string) bool {
	for group := range digitGroups(s) {
		if len(group) >= 4 {
			return true
		}
	}
	return false
}

// checkLink holds a link to https and a plain host, and to no forbidden word in host or path.
func checkLink(slot, link string) error {
	if len(link) > MaxLink {
		return &SlotError{slot, TooLong}
	}
	u, err := url.Parse(link)
	if err != nil || u.Scheme != "https" || u.User != nil || u.Port() != "" || !hostShape.MatchString(u.Host) ||
		strings.ContainsFunc(link, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return &SlotError{slot, BadShape}
	}
	if forbiddenWord(u.Host+" "+u.Path+" "+u.RawQuery+" "+u.Fragment) != "" {
		return &SlotError{slot, Forbidden}
	}
	return nil
}

// checkHost holds a link to the allowed hosts; where none is allowed, no link is.
func checkHost(slot, link string, hosts []string) error {
	u, err := url.Parse(link)
	if err != nil || !slices.Contains(hosts, u.Host) {
		return &SlotError{slot, BadHost}
	}
	return nil
}

// String names the slots, never a value.
func (v Values) String() string {
	return "slots(" + strings.Join(slices.Sorted(maps.Keys(v)), " ") + ")"
}

// GoString redacts for %#v.
func (v Values) GoString() string { return v.String() }

// LogValue redacts for log/slog.
func (v Values) LogValue() slog.Value { return slog.StringValue(v.String()) }

// Format redacts for every verb of fmt.
func (v Values) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, v.String()) }

// isInstant reports whether a value is the canonical form of an instant.
func isInstant(val string) bool {
	_, err := time.Parse(time.RFC3339, val)
	return err == nil
}
