package modem

import (
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/warthog618/sms/encoding/gsm7/charset"
	"github.com/warthog618/sms/encoding/tpdu"
)

// ErrUnsendable says that an SMS cannot be made into TPDUs at all; nothing reached a modem.
var ErrUnsendable = errors.New("unsendable SMS")

// SMS is one outgoing text before it is encoded.
type SMS struct {
	// To is the recipient: '+' and 7 to 15 digits (E.164), or 3 to 15 digits as dialled here: a short code or a national number.
	To string
	// Text is what the handset shows. GSM 7-bit default alphabet with its extension table (23.038, 6.2.1) if all characters are
	// in it, UCS-2 otherwise.
	Text string
	// Validity is how long the service centre may try (TP-VP), rounded down to what the octet can say, 5 minutes at least; 0
	// leaves it to the network.
	Validity time.Duration
	// Replace is a TP-PID 0x41 to 0x47, "replace short message type 1 to 7" (23.040, 9.2.3.9), or 0.
	Replace uint8
	// Report asks for a status report (TP-SRR).
	Report bool
	// ConcatRef is the reference of a text in several parts; the caller keeps a counter per SIM.
	ConcatRef byte
}

// String shows nothing of recipient or text.
func (s SMS) String() string { return "SMS" }

// GoString shows nothing of recipient or text.
func (s SMS) GoString() string { return s.String() }

// LogValue shows nothing of recipient or text.
func (s SMS) LogValue() slog.Value { return slog.StringValue(s.String()) }

// TPDU is one encoded SMS-SUBMIT, ready for AT+CMGS in PDU mode. It holds number and text, and shows neither.
type TPDU struct {
	hex         string // SMSC "00" (use the SIM's), then the TPDU; upper case
	to          string // digits of TP-DA; never shown
	octets      int    // of the TPDU alone
	part, parts int
}

// AT is the command for Send and the line that follows its prompt, without Ctrl-Z. The line holds number and text.
func (t TPDU) AT() (command, pdu string) { return "+CMGS=" + strconv.Itoa(t.octets), t.hex }

// Octets is the length that AT+CMGS announces: of the TPDU without the service centre address.
func (t TPDU) Octets() int { return t.octets }

// Part says which part of how many this is, from 1.
func (t TPDU) Part() (part, of int) { return t.part, t.parts }

// String shows the size only.
func (t TPDU) String() string {
	return fmt.Sprintf("SMS-SUBMIT part %d of %d, %d octets", t.part, t.parts, t.octets)
}

// GoString shows the size only.
func (t TPDU) GoString() string { return t.String() }

// LogValue shows the size only.
func (t TPDU) LogValue() slog.Value { return slog.StringValue(t.String()) }

// maxParts is what one octet of the concatenation element can count (23.040, 9.2.3.24.1).
const maxParts = 255

// warm fills the tables of sms once: it fills them lazily without a lock (reference 1.2, defect 9).
var warm = sync.OnceFunc(func() {
	charset.DefaultEncoder()
	charset.DefaultExtEncoder()
	for nli := charset.Default; nli <= charset.Urdu; nli++ {
		charset.NewDecoder(nli)
		charset.NewExtDecoder(nli)
	}
})

// Encode makes the TPDUs of a text, in order. It is pure. What cannot be sent is refused here, before any modem traffic: the
// error is ErrUnsendable and names the field, never its value.
func Encode(s SMS) ([]TPDU, error) { return encode(s, false) }

func encode(s SMS, national bool) ([]TPDU, error) {
	warm()
	da, err := address(s.To)
	if err != nil {
		return nil, err
	}
	if national && da.TOA == 0x81 && len(da.Addr) > shortCode {
		da.TOA = 0xa1
	}
	if err := checkText(s.Text); err != nil {
		return nil, err
	}
	if s.Replace != 0 && (s.Replace < 0x41 || s.Replace > 0x47) {
		return nil, fmt.Errorf("%w: replace type is not 0x41 to 0x47", ErrUnsendable)
	}
	if s.Validity < 0 {
		return nil, fmt.Errorf("%w: validity is negative", ErrUnsendable)
	}

	t := tpdu.TPDU{DA: da, PID: s.Replace}
	if err := t.SetSmsType(tpdu.SmsSubmit); err != nil {
		return nil, fmt.Errorf("%w: set type", ErrUnsendable)
	}
	if s.Report {
		t.FirstOctet |= tpdu.FoSRR
	}
	if s.Validity > 0 {
		var vp tpdu.ValidityPeriod
		vp.SetRelative(5 * time.Minute) // the octet itself is written below
		t.SetVP(vp)
	}
	ud, _, alphabet := tpdu.EncodeUserData([]byte(s.Text))
	if alphabet == tpdu.AlphaUCS2 {
		t.SetDCS(byte(tpdu.DcsUCS2Data))
	}
	segments := t.Segment(ud, tpdu.WithConcatRef(fixed(s.ConcatRef)))
	if len(segments) > maxParts {
		return nil, fmt.Errorf("%w: more than %d parts", ErrUnsendable, maxParts)
	}

	out := make([]TPDU, 0, len(segments))
	for i := range segments {
		b, err := segments[i].MarshalBinary()
		if err != nil {
			// The library's error shows the offending character.
			return nil, fmt.Errorf("%w: marshal part %d", ErrUnsendable, i+1)
		}
		if s.Validity > 0 {
			b[vpOffset(da)] = relativeVP(s.Validity)
		}
		out = append(out, TPDU{
			hex:    "00" + strings.ToUpper(hex.EncodeToString(b)), // real clients send upper case (defect 16)
			to:     da.Addr,
			octets: len(b),
			part:   i + 1,
			parts:  len(segments),
		})
	}
	return out, nil
}

// shortCode is how many digits a number may have that is no telephone's.
const shortCode = 6

// fixed is a tpdu.Counter that gives the caller's reference.
type fixed byte

func (f fixed) Count() int { return int(f) }

// address makes TP-DA: international only with '+', everything else of unknown type (0x81). sms.To forces international,
// which no network routes for a short code (defect 11).
func address(to string) (tpdu.Address, error) {
	digits, international := strings.CutPrefix(to, "+")
	low := 3
	if international {
		low = 7
	}
	if len(digits) < low || len(digits) > 15 {
		return tpdu.Address{}, fmt.Errorf("%w: recipient has a wrong length", ErrUnsendable)
	}
	for i := range len(digits) {
		if digits[i] < '0' || digits[i] > '9' {
			return tpdu.Address{}, fmt.Errorf("%w: recipient is not digits only", ErrUnsendable)
		}
	}
	a := tpdu.Address{TOA: 0x81, Addr: digits}
	if international {
		a.TOA = 0x91
	}
	return a, nil
}

func checkText(text string) error {
	switch {
	case text == "":
		return fmt.Errorf("%w: text is empty", ErrUnsendable) // sms panics or sends nothing (defect 7)
	case !utf8.ValidString(text):
		return fmt.Errorf("%w: text is not UTF-8", ErrUnsendable)
	}
	for _, r := range text {
		if unicode.IsControl(r) && r != '\n' && r != '\r' {
			return fmt.Errorf("%w: text has a control character", ErrUnsendable)
		}
	}
	return nil
}

// vpOffset is where TP-VP stands in an SMS-SUBMIT: after first octet, TP-MR, TP-DA, TP-PID, TP-DCS (23.040, 9.2.2.2).
func vpOffset(da tpdu.Address) int { return 2 + 2 + (len(da.Addr)+1)/2 + 2 }

// relativeVP is the TP-VP octet in relative form (23.040, 9.2.3.12.1), rounded down so that no code arrives after its life. sms
// v0.3.0 writes 10 minutes for 5 (defect 19).
func relativeVP(d time.Duration) byte {
	const day, week = 24 * time.Hour, 7 * 24 * time.Hour
	switch {
	case d < 10*time.Minute:
		return 0
	case d <= 12*time.Hour:
		return byte(d/(5*time.Minute)) - 1
	case d < 2*day:
		return byte(min(143+(d-12*time.Hour)/(30*time.Minute), 167))
	case d < 5*week:
		return byte(min(166+d/day, 196))
	}
	return byte(min(192+d/week, 255))
}
