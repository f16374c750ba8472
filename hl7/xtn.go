package hl7

import "strings"

// XTN is a telecommunication number as sent (v2.5.1 section 2.A.89), decoded and
// not interpreted.
type XTN struct {
	redact
	Text        string // XTN.1, the whole number in any notation, deprecated and the usual one
	Use         string // XTN.2, table 0201 and what feeds put there instead
	Equipment   string // XTN.3, table 0202
	Email       string // XTN.4
	Country     string // XTN.5
	Area        string // XTN.6
	Local       string // XTN.7
	Extension   string // XTN.8
	AnyText     string // XTN.9
	ExtPrefix   string // XTN.10
	SpeedDial   string // XTN.11
	Unformatted string // XTN.12
}

// XTN reads the repetition as a telecommunication number, such as one of PID-13.
func (r Repetition) XTN() XTN {
	var parts [12]Value
	r.cut(compSep, parts[:])
	c := func(n int) string { return parts[n-1].String() }
	return XTN{
		Text: c(1), Use: c(2), Equipment: c(3), Email: c(4), Country: c(5), Area: c(6), Local: c(7),
		Extension: c(8), AnyText: c(9), ExtPrefix: c(10), SpeedDial: c(11), Unformatted: c(12),
	}
}

// PhoneClass is what use and equipment say of a number. The lower of two is the
// better one to send a text to; PhoneUnusable is none. The numbering plan, which
// this package does not know, may still find that a number of a lower class is a
// mobile.
type PhoneClass uint8

// The classes of numbers, best first.
const (
	PhoneCell     PhoneClass = iota + 1 // equipment CP
	PhonePersonal                       // use PRS, MOBILE or CELL
	PhonePrimary                        // use PRN, or HOME as some write it
	PhoneOther                          // any other use, or none
	PhoneWork                           // use WPN; whether it may be texted is the site's choice
	PhoneUnusable                       // fax, modem, pager, e-mail
)

// PhoneSource is the component a number was taken from.
type PhoneSource uint8

// The sources of a number, in the order in which they are tried.
const (
	FromUnformatted PhoneSource = iota + 1 // XTN.12
	FromParts                              // XTN.5, 6 and 7
	FromText                               // XTN.1
)

// Phone is a number taken out of an XTN: digits without a numbering plan. Making
// E.164 of it, or refusing it, is for whoever knows the plan and the site's area.
type Phone struct {
	redact
	Class  PhoneClass
	Work   bool // use WPN, whatever the class
	Source PhoneSource
	// Plus tells that the number is international: Digits begin with a country code.
	Plus bool
	// Digits is the number without extension: with FromParts country, area and
	// local number in a row, otherwise the digits as sent.
	Digits string
	// Country, Area and Local are the parts, with FromParts only.
	Country, Area, Local string
	// Extension is behind the number; a number with one is a switchboard's.
	Extension string
	// NoVoice tells of a text telephone (equipment TDD or TTY): whoever has it does
	// not hear a call.
	NoVoice bool
}

// Class says what use and equipment make of the number.
func (x XTN) Class() PhoneClass {
	use, equipment := strings.ToUpper(strings.TrimSpace(x.Use)), strings.ToUpper(strings.TrimSpace(x.Equipment))
	switch equipment {
	case "FX", "FAX", "MD", "BP", "INTERNET", "X.400":
		return PhoneUnusable
	}
	switch use {
	case "NET", "FX", "FAX", "BPN", "BP", "MD", "INTERNET":
		return PhoneUnusable
	}
	if equipment == "CP" {
		return PhoneCell
	}
	switch use {
	case "PRS", "MOBILE", "CELL", "CP":
		return PhonePersonal
	case "PRN", "HOME":
		return PhonePrimary
	case "WPN", "WORK":
		return PhoneWork
	}
	return PhoneOther
}

// Phone takes the number out: XTN.12, else XTN.5, 6 and 7, else XTN.1. It is false
// when there is none, when the class is PhoneUnusable, or when letters other than
// an extension's stand in it: a wrong number is worse than no number. The length
// is not judged.
func (x XTN) Phone() (Phone, bool) {
	p := Phone{Class: x.Class()}
	p.Work = p.Class == PhoneWork || strings.EqualFold(strings.TrimSpace(x.Use), "WPN")
	if p.Class == PhoneUnusable {
		return Phone{}, false
	}
	n, ok := x.number()
	if !ok {
		return Phone{}, false
	}
	switch strings.ToUpper(strings.TrimSpace(x.Equipment)) {
	case "TDD", "TTY":
		p.NoVoice = true
	}
	p.Source, p.Plus, p.Digits, p.Extension = n.Source, n.Plus, n.Digits, n.Extension
	p.Country, p.Area, p.Local = n.Country, n.Area, n.Local
	if p.Extension == "" {
		p.Extension = onlyDigits(x.Extension)
	}
	return p, true
}

func (x XTN) number() (Phone, bool) {
	if hasDigit(x.Unformatted) {
		p, ok := dialable(x.Unformatted)
		p.Source = FromUnformatted
		return p.within(x, ok)
	}
	if hasDigit(x.Local) {
		local, ok := dialable(x.Local)
		country, okC := dialable(x.Country)
		area, okA := dialable(x.Area)
		return Phone{
			Source: FromParts, Plus: country.Plus,
			Digits:  country.Digits + area.Digits + local.Digits,
			Country: country.Digits, Area: area.Digits, Local: local.Digits,
			Extension: local.Extension,
		}, ok && okC && okA
	}
	if !hasDigit(x.Text) {
		return Phone{}, false
	}
	p, ok := dialable(x.Text)
	p.Source = FromText
	return p.within(x, ok)
}

// within puts the area before a number that has none, where it stands apart (XTN.6): that of the site would make it
// somebody else's.
func (p Phone) within(x XTN, ok bool) (Phone, bool) {
	area, okA := dialable(x.Area)
	if area.Digits == "" || p.Plus || len(p.Digits) != localDigits {
		return p, ok
	}
	country, okC := dialable(x.Country)
	p.Source, p.Plus, p.Country, p.Area, p.Local = FromParts, country.Plus, country.Digits, area.Digits, p.Digits
	p.Digits = p.Country + p.Area + p.Local
	return p, ok && okA && okC
}

// localDigits is how many digits a number of the North American plan has without its area.
const localDigits = 7

// dialable strips the punctuation that people write into numbers and cuts an
// extension off. It is false where a letter or any other character remains.
func dialable(s string) (Phone, bool) {
	s = strings.TrimSpace(s)
	var p Phone
	if rest, ok := strings.CutPrefix(s, "+"); ok {
		p.Plus = true
		// The trunk prefix that is dialled only at home: +44 (0)20 ...
		s = strings.Replace(rest, "(0)", "", 1)
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case '0' <= c && c <= '9':
			b.WriteByte(c)
		case strings.IndexByte(" -.()/\t[]", c) >= 0:
		default:
			ext, ok := extension(s[i:])
			if !ok {
				return Phone{}, false
			}
			p.Digits, p.Extension = b.String(), ext
			return p, p.Digits != ""
		}
	}
	p.Digits = b.String()
	return p, true
}

// extension reads what follows a number: x12, ext. 12, extension 12, #12.
func extension(s string) (string, bool) {
	s = strings.ToLower(s)
	for _, word := range [...]string{"extension", "extn", "ext", "x", "#"} {
		if rest, ok := strings.CutPrefix(s, word); ok {
			rest = strings.Trim(rest, " .:-\t")
			_, ok := digits(rest)
			return rest, ok
		}
	}
	return "", false
}

func hasDigit(s string) bool { return strings.ContainsAny(s, "0123456789") }

// onlyDigits keeps the digits of s.
func onlyDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, s)
}
