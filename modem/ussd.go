package modem

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/warthog618/sms/encoding/gsm7"
)

// errUSSD is all that is said of a USSD answer that cannot be read: it may hold the SIM's number.
var errUSSD = errors.New("unreadable USSD answer")

// ussdAnswer is "+CUSD: <m>,<str>,<dcs>" (27.007, 7.15).
type ussdAnswer struct {
	kind int    // <m>: 0 done, 1 the network wants more, 2 ended by the network, 3 another client answered, 4 not supported, 5 timeout
	text string // decoded; "" where there is none
}

// readUSSD reads what stands behind "+CUSD:". Modems give the text as characters, as hexadecimal UCS-2 (whatever +CSCS says), or
// as hexadecimal octets of packed septets (Huawei): told by its form, the octets of the alphabet by <dcs> (23.038, 5).
func readUSSD(rest string) (ussdAnswer, error) {
	head, tail, more := strings.Cut(strings.TrimSpace(rest), ",")
	kind, err := strconv.Atoi(strings.TrimSpace(head))
	if err != nil || kind < 0 || kind > 5 {
		return ussdAnswer{}, errUSSD
	}
	a := ussdAnswer{kind: kind}
	if !more {
		return a, nil
	}
	tail = strings.TrimSpace(tail)
	dcs := 15
	if i := strings.LastIndex(tail, `"`); i > 0 {
		if n, err := strconv.Atoi(strings.Trim(tail[i+1:], ", ")); err == nil && n >= 0 && n <= 255 {
			dcs = n
		}
		tail = tail[:i]
	}
	raw := strings.TrimPrefix(tail, `"`)
	octets, err := hex.DecodeString(raw)
	if err != nil || len(octets) < 2 {
		a.text = raw // characters; "10" too is a text
		return a, nil
	}
	wide := len(octets)%2 == 0 && dcs >= 0x40 && dcs&0x0c == 0x08 // 23.038, 5: general data coding, UCS-2
	switch {
	case wide, likelyUCS2(octets):
		a.text = ucs2(octets)
	case allDigits(raw) && len(raw) < 8:
		a.text = raw // a balance without words
	default:
		a.text = string(unpacked(octets))
	}
	return a, nil
}

// likelyUCS2 says whether octets are UCS-2: two by two, and their blocks few. Packed septets of a text have no zero octet at each
// even place, nor the same block again and again.
func likelyUCS2(b []byte) bool {
	if len(b)%2 != 0 {
		return false
	}
	blocks := map[byte]int{}
	for i := 0; i < len(b); i += 2 {
		blocks[b[i]]++
	}
	return blocks[0]+blocks[4]+blocks[0x20] >= (len(b)/2+1)/2 && len(blocks) <= 4
}

func ucs2(b []byte) string {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = uint16(b[2*i])<<8 | uint16(b[2*i+1])
	}
	return string(utf16.Decode(units))
}

// unpacked reads packed septets as GSM text; a last '@' that only fills the octet is left out, and so is the CR that the network
// fills with (23.038, 6.1.2.3.1).
func unpacked(b []byte) []byte {
	septets := gsm7.Unpack7BitUSSD(b, 0)
	text, err := gsm7.Decode(septets)
	if err != nil {
		return nil
	}
	out := strings.TrimRight(string(text), "\r\x00")
	if len(b)%7 == 0 {
		out = strings.TrimSuffix(out, "@")
	}
	return []byte(out)
}

func allDigits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// ussdRequest writes a code as the module wants it: as characters, or as hexadecimal octets of packed septets.
func (p profile) ussdRequest(code string) (string, error) {
	if code == "" || len(code) > 20 || strings.Trim(code, "0123456789*#") != "" {
		return "", fmt.Errorf("%w: it may hold digits, * and # only", ErrNoBalance)
	}
	if p.Balance.Packed {
		code = strings.ToUpper(hex.EncodeToString(gsm7.Pack7BitUSSD([]byte(code), 0))) // these characters are their own septets
	}
	return fmt.Sprintf(`+CUSD=1,"%s",15`, code), nil
}
