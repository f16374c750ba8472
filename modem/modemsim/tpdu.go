package modemsim

import (
	"encoding/hex"
	"errors"
	"strings"
	"time"
)

// errPDU is what every malformed TPDU yields; the modem answers it with
// +CMS ERROR: 304 (27.005 section 3.2.5, invalid PDU mode parameter). It never
// tells octets of the TPDU.
var errPDU = errors.New("TPDU is malformed")

// reader takes fields off a TPDU; after the first shortage bad is set and each
// further field is empty.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b) {
		r.bad = true
		return make([]byte, max(n, 0))
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) octet() byte { return r.take(1)[0] }

// address reads a TP address, 23.040 section 9.1.2.5: number of digits, type of
// address, semi-octets.
func (r *reader) address() string {
	n := int(r.octet())
	toa := r.octet()
	if n > 20 || toa&0x80 == 0 {
		r.bad = true
		return ""
	}
	b := r.take((n + 1) / 2)
	if r.bad {
		return ""
	}
	if toa&0x70 == 0x50 { // alphanumeric, GSM 7 bit packed
		return gsmText(unpack(b, 0, n*4/7))
	}
	digits, ok := bcdDigits(b, n)
	if !ok {
		r.bad = true
	}
	if toa&0x70 == 0x10 {
		return "+" + digits
	}
	return digits
}

// bcd is the order of the semi-octet digits, 23.040 section 9.1.2.3; 15 fills.
const bcd = "0123456789*#abc"

func bcdDigits(b []byte, n int) (string, bool) {
	out := make([]byte, 0, n)
	for i := range n {
		d := b[i/2] >> (4 * (i % 2)) & 0x0f
		if d == 15 {
			return "", false
		}
		out = append(out, bcd[d])
	}
	if n%2 == 1 && b[n/2]>>4 != 15 {
		return "", false
	}
	return string(out), true
}

// bcdOctets writes digits as swapped semi-octets, filled with F. It fails on a
// character that has no semi-octet.
func bcdOctets(digits string) ([]byte, bool) {
	b := make([]byte, (len(digits)+1)/2)
	for i := range b {
		b[i] = 0xff
	}
	for i := range len(digits) {
		d := strings.IndexByte(bcd, digits[i])
		if d < 0 {
			return nil, false
		}
		if i%2 == 0 {
			b[i/2] = b[i/2]&0xf0 | byte(d)
		} else {
			b[i/2] = b[i/2]&0x0f | byte(d)<<4
		}
	}
	return b, true
}

// appendAddress writes a TP address: international with +, alphanumeric when it
// holds letters, else unknown type in the telephone numbering plan.
func appendAddress(dst []byte, address string) []byte {
	toa, digits := byte(0x81), address
	if rest, ok := strings.CutPrefix(address, "+"); ok {
		toa, digits = 0x91, rest
	}
	if b, ok := bcdOctets(digits); ok {
		return append(append(dst, byte(len(digits)), toa), b...)
	}
	septets, _ := gsmSeptets(address)
	septets = septets[:min(len(septets), 11)]
	b := pack(septets, 0)
	return append(append(dst, byte((len(septets)*7+3)/4), 0xd0), b...)
}

// appendSMSC writes the service centre address that stands before a TPDU on the
// line (27.005 section 3.1 <pdu>): octets that follow, type, semi-octets.
func appendSMSC(dst []byte, address string) []byte {
	b := appendAddress(nil, address)
	if len(b) < 3 {
		return append(dst, 0)
	}
	return append(append(dst, byte(len(b)-1)), b[1:]...)
}

// splitSMSC parts a line's <pdu> into the TPDU and what stands before it. An
// empty service centre address means: the SIM's.
func splitSMSC(b []byte) (smsc string, tpdu []byte, err error) {
	r := reader{b: b}
	n := int(r.octet())
	field := r.take(n)
	if r.bad || n > 12 || n == 1 {
		return "", nil, errPDU
	}
	if n == 0 {
		return "", r.b, nil
	}
	digits := 2 * (n - 1)
	if field[n-1]>>4 == 15 {
		digits--
	}
	text, ok := bcdDigits(field[1:], digits)
	if !ok {
		return "", nil, errPDU
	}
	if field[0]&0x70 == 0x10 {
		text = "+" + text
	}
	return text, r.b, nil
}

// appendTime writes a TP-SCTS or TP-DT, 23.040 section 9.2.3.11: seven swapped
// semi-octets, the zone in quarters of an hour.
func appendTime(dst []byte, t time.Time) []byte {
	_, offset := t.Zone()
	quarters, sign := offset/(15*60), byte(0)
	if quarters < 0 {
		quarters, sign = -quarters, 0x08
	}
	for _, v := range []int{t.Year() % 100, int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second()} {
		dst = append(dst, swapped(v))
	}
	return append(dst, swapped(quarters)|sign)
}

func swapped(v int) byte { return byte(v%10<<4 | v/10) }

func unswapped(b byte) int { return int(b&0x0f)*10 + int(b>>4) }

// timestamp reads what appendTime writes.
func (r *reader) timestamp() time.Time {
	b := r.take(7)
	quarters := unswapped(b[6] &^ 0x08)
	if b[6]&0x08 != 0 {
		quarters = -quarters
	}
	zone := time.FixedZone("", quarters*15*60)
	return time.Date(2000+unswapped(b[0]), time.Month(unswapped(b[1])), unswapped(b[2]),
		unswapped(b[3]), unswapped(b[4]), unswapped(b[5]), 0, zone)
}

// userData reads TP-UDL and TP-UD, 23.040 sections 9.2.3.16 and 9.2.3.24, and
// holds the length against the alphabet and the octets that are there.
func (r *reader) userData(dcs byte, udhi bool) body {
	d := body{DCS: dcs, UDHI: udhi, Length: int(r.octet())}
	octets := d.Length
	if d.alphabet() == gsm7Bit {
		octets = septetOctets(d.Length, 0)
	}
	if octets > 140 || r.bad || octets != len(r.b) {
		r.bad = true
		return body{}
	}
	d.Data = append([]byte(nil), r.take(octets)...)
	if d.UDHI && (octets == 0 || int(d.Data[0])+1 > octets || !d.headerWhole()) {
		r.bad = true
	}
	return d
}

// pduHex reads the hex digits of a line's <pdu>.
func pduHex(text string) ([]byte, error) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil, errPDU
	}
	return b, nil
}
