// Package contact knows whom the box can reach: the site it serves, phone numbers as the numbering
// plan sees them, the persons (subjects) that messages are about with the numbers that are theirs,
// what was learned about each number, and the appointments that reminders hang on.
//
// It does not know consent (that is a room of its own), nor how a number came in: an HL7 field, a
// form and a file all end in ParsePhone. Nothing here sends.
package contact

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unique"

	"github.com/nyaruka/phonenumbers"
)

// Phone is a subscriber number in E.164 form. It is comparable, its zero value is no number, and it
// never shows itself: every way of printing it gives "tel:..67".
//
// The text is held by a handle and not as a string, because fmt cannot call methods on unexported
// fields: a struct that holds a Phone in such a field prints an address, and not the number.
type Phone struct {
	e164 unique.Handle[string]
}

func phoneOf(e164 string) Phone { return Phone{unique.Make(e164)} }

// IsZero reports whether p is no number at all.
func (p Phone) IsZero() bool { return p == Phone{} }

// E164 returns the number as "+16175551234", for a modem, a sealed record or an answer to whoever
// gave it; "" for no number. It never belongs in a log or an error.
func (p Phone) E164() string {
	if p.IsZero() {
		return ""
	}
	return p.e164.Value()
}

// Prefix returns what budgets, learned receipt rates and the conversion watch count by: country,
// area and exchange ("1617555") in the North American plan, elsewhere all but the last five digits.
func (p Phone) Prefix() string {
	d := strings.TrimPrefix(p.E164(), "+")
	switch {
	case strings.HasPrefix(d, "1") && len(d) == 11:
		return d[:7]
	case len(d) > 7:
		return d[:len(d)-5]
	}
	return d
}

// Country returns the ISO 3166-1 region of the number ("US", "PR", "CA"), or "" when the numbering
// plan has none for it.
func (p Phone) Country() string {
	n, err := number(p.E164(), "ZZ")
	if err != nil {
		return ""
	}
	_, _, x := assigned(n)
	return x.region
}

// LineType is what kind of line a number is, as far as is known.
type LineType string

// Kinds of line. The North American plan does not tell mobile from landline, so most numbers are
// LineUnknown until a source says it.
const (
	LineUnknown  LineType = ""
	LineMobile   LineType = "mobile"
	LineLandline LineType = "landline"
)

// Line returns what the numbering plan alone says about the line.
func (p Phone) Line() LineType {
	n, err := number(p.E164(), "ZZ")
	if err != nil {
		return LineUnknown
	}
	_, _, x := assigned(n)
	switch x.line {
	case phonenumbers.MOBILE:
		return LineMobile
	case phonenumbers.FIXED_LINE:
		return LineLandline
	}
	return LineUnknown
}

// Fictitious reports whether p is one of the numbers kept for fiction (NXX-555-0100 to 0199), which
// no network can reach. ParsePhone takes them; HL7 intake refuses them as filler.
func (p Phone) Fictitious() bool {
	d := p.E164()
	return len(d) == 12 && strings.HasPrefix(d, "+1") && d[5:10] == "55501"
}

// MarshalText gives the E.164 form. Only sealed tables and answers to the number's own client may
// encode a Phone.
func (p Phone) MarshalText() ([]byte, error) { return []byte(p.E164()), nil }

// UnmarshalText takes what MarshalText gave. It checks the shape and not the plan: a number that was
// accepted once stays readable when the plan's data change.
func (p *Phone) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*p = Phone{}
		return nil
	}
	if b[0] != '+' || len(b) < 5 || len(b) > 16 || b[1] == '0' {
		return &NumberError{Reason: Invalid}
	}
	for _, c := range b[1:] {
		if c < '0' || c > '9' {
			return &NumberError{Reason: Invalid}
		}
	}
	*p = phoneOf(string(b))
	return nil
}

// String gives the last two digits only, enough for a person to tell two numbers apart.
func (p Phone) String() string {
	if p.IsZero() {
		return "tel:none"
	}
	d := p.E164()
	return "tel:.." + d[len(d)-2:]
}

// GoString redacts for %#v.
func (p Phone) GoString() string { return p.String() }

// LogValue redacts for log/slog.
func (p Phone) LogValue() slog.Value { return slog.StringValue(p.String()) }

// Format redacts for every verb of fmt, %x and %d included.
func (p Phone) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, p.String()) }

// Plan says how this site reads and bounds numbers.
type Plan struct {
	// Region is the ISO 3166-1 region whose national form is understood; "" is "US".
	Region string
	// Area is the area code put before seven-digit numbers; "" refuses them, for a guess would text a
	// stranger.
	Area string
	// Allowed are the regions ("CA") or leading digits ("44", "1416") reachable besides Region. With
	// Region US the territories PR VI GU MP AS always are.
	Allowed []string
}

// Reason says why a number was refused; it is a machine-readable word.
type Reason string

// Reasons of a NumberError.
const (
	Invalid  Reason = "invalid"   // not a number that the plan assigns
	Foreign  Reason = "foreign"   // valid, but not of a country or prefix that this site allows
	Premium  Reason = "premium"   // premium-rate, shared-cost, toll-free or another service number
	Short    Reason = "short"     // a short code or an emergency number
	TooShort Reason = "too_short" // seven digits, and the site has no area code of its own
)

// NumberError says why ParsePhone refused a number. It never holds the number.
type NumberError struct{ Reason Reason }

func (e *NumberError) Error() string { return "phone number refused: " + string(e.Reason) }

var territories = []string{"PR", "VI", "GU", "MP", "AS"}

// ParsePhone reads a number as people and feeds write it ("(617) 555-1234", "+1 617.555.1234 x22").
// An extension is cut off; vanity letters are refused. The error is always a *NumberError.
func ParsePhone(raw string, plan Plan) (Phone, error) {
	region := plan.Region
	if region == "" {
		region = "US"
	}
	s, digits, err := clean(raw)
	if err != nil {
		return Phone{}, err
	}
	international := strings.HasPrefix(s, "+")
	switch {
	case !international && digits <= 6:
		return Phone{}, &NumberError{Reason: Short}
	case !international && digits == 7 && phonenumbers.GetCountryCodeForRegion(region) == 1:
		if plan.Area == "" {
			return Phone{}, &NumberError{Reason: TooShort}
		}
		s = plan.Area + s
	}
	n, err := number(s, region)
	if err != nil {
		return Phone{}, err
	}
	national, e164, x := assigned(n)
	if sameDigits(national) {
		return Phone{}, &NumberError{Reason: Invalid}
	}
	// A number without a type is one that the plan does not assign, and the other way round.
	if premium(n, national, x.line) {
		return Phone{}, &NumberError{Reason: Premium}
	}
	if x.line == phonenumbers.UNKNOWN {
		return Phone{}, &NumberError{Reason: Invalid}
	}
	p := phoneOf(e164)
	if !plan.allows(p, x.region, region) {
		return Phone{}, &NumberError{Reason: Foreign}
	}
	return p, nil
}

// FromNetwork reads a number as a network reports it: who texted, or whom a receipt is about. What is
// international is taken as it is, wherever it lies, for a STOP from abroad is a STOP; anything else
// is read by the plan. An alphanumeric sender or a short code is a NumberError.
func FromNetwork(raw string, plan Plan) (Phone, error) {
	s, digits, err := clean(raw)
	if err != nil || !strings.HasPrefix(s, "+") {
		return ParsePhone(raw, plan)
	}
	if digits < 7 || digits > 15 || s[1] == '0' {
		return Phone{}, &NumberError{Reason: Invalid}
	}
	return phoneOf(s), nil
}

// number reads cleaned digits. The plain North American forms are most of what comes in and are
// taken apart here: the library tries a dozen patterns to come to the same.
func number(s, region string) (*phonenumbers.PhoneNumber, error) {
	american := phonenumbers.GetCountryCodeForRegion(region) == 1
	digits := ""
	switch {
	case strings.HasPrefix(s, "+1") && len(s) == 12:
		digits = s[2:]
	case american && len(s) == 11 && s[0] == '1':
		digits = s[1:]
	case american && len(s) == 10 && s[0] >= '2':
		digits = s
	}
	if digits == "" {
		n, err := phonenumbers.Parse(s, region)
		if err != nil {
			return nil, &NumberError{Reason: Invalid}
		}
		return n, nil
	}
	national, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || digits[0] < '2' {
		return nil, &NumberError{Reason: Invalid} // an area code begins with 2 to 9
	}
	country := int32(1)
	return &phonenumbers.PhoneNumber{CountryCode: &country, NationalNumber: &national}, nil
}

// typography turns what word processors make of spaces and hyphens back.
var typography = strings.NewReplacer("\u00a0", " ", "\u2010", "-", "\u2011", "-", "\u2012", "-", "\u2013", "-")

// clean keeps the leading plus and the digits of one number, cut at an extension, and counts the
// digits. Only the punctuation that people put into numbers is passed over.
func clean(raw string) (s string, digits int, err error) {
	s = strings.ToLower(strings.TrimSpace(typography.Replace(raw)))
	s = strings.TrimPrefix(s, "tel:")
	if len(s) > 64 {
		return "", 0, &NumberError{Reason: Invalid}
	}
	for _, cut := range []string{";", ",", "ext", "x", "#"} {
		if i := strings.Index(s, cut); i > 0 {
			s = s[:i]
		}
	}
	var b strings.Builder
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			b.WriteByte(c)
			digits++
		case c == '+' && b.Len() == 0:
			b.WriteByte(c)
		case strings.IndexByte(" ()-./\t", c) >= 0:
		default:
			return "", 0, &NumberError{Reason: Invalid}
		}
	}
	if digits == 0 {
		return "", 0, &NumberError{Reason: Invalid}
	}
	return b.String(), digits, nil
}

func sameDigits(s string) bool {
	return s != "" && strings.Count(s, s[:1]) == len(s)
}

// premium reports numbers that cost the hospital money or answer to nobody. 976 is an exchange and
// not an area code, and the library calls it ordinary.
func premium(n *phonenumbers.PhoneNumber, national string, line phonenumbers.PhoneNumberType) bool {
	if n.GetCountryCode() == 1 && len(national) == 10 {
		if national[:3] == "900" || national[3:6] == "976" {
			return true
		}
	}
	switch line {
	case phonenumbers.PREMIUM_RATE, phonenumbers.SHARED_COST, phonenumbers.TOLL_FREE,
		phonenumbers.UAN, phonenumbers.VOICEMAIL, phonenumbers.PAGER:
		return true
	}
	return false
}

func (plan Plan) allows(p Phone, region, home string) bool {
	if region == home || home == "US" && slices.Contains(territories, region) {
		return true
	}
	digits := strings.TrimPrefix(p.E164(), "+")
	for _, a := range plan.Allowed {
		a = strings.TrimPrefix(a, "+")
		if a == "" {
			continue
		}
		if strings.EqualFold(a, region) || a[0] >= '0' && a[0] <= '9' && strings.HasPrefix(digits, a) {
			return true
		}
	}
	return false
}
