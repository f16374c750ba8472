package modem

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/warthog618/sms"
	"github.com/warthog618/sms/encoding/tpdu"
)

// errPDU is all that is said of a PDU that cannot be read: the library's errors show parts of it.
var errPDU = errors.New("unreadable PDU")

// maxPDU is far over the 176 octets of a PDU with its service centre; a longer line is no PDU.
const maxPDU = 512

// incoming is a decoded mobile-terminated TPDU: exactly one of report and text is not nil.
type incoming struct {
	report *Report
	text   *Text
	hash   [32]byte // SHA-256 of the PDU
}

// decode reads a PDU line of +CDS, +CMT, +CMGL or +CMGR: service centre address, then an SMS-DELIVER or SMS-STATUS-REPORT. An
// SMS-DELIVER that cannot be read is still a text, with Unreadable set, or it would fill the SIM for ever; any other PDU that
// cannot be read is errPDU.
func decode(line string) (in incoming, err error) {
	warm()
	if len(line) > 2*maxPDU {
		return incoming{}, errPDU
	}
	pdu, err := hex.DecodeString(line)
	if err != nil || len(pdu) < 2 || len(pdu) < 2+int(pdu[0]) {
		return incoming{}, errPDU
	}
	hash := sha256.Sum256(pdu)
	b := pdu[1+int(pdu[0]):]
	t, err := unmarshal(mend(b))
	switch {
	case b[0]&3 == mtiDeliver && err != nil:
		return incoming{hash: hash, text: &Text{Part: 1, Parts: 1, Hash: hash, Unreadable: true}}, nil
	case err != nil:
		return incoming{}, errPDU
	case b[0]&3 == mtiDeliver:
		return incoming{hash: hash, text: deliver(t, hash)}, nil
	case b[0]&3 == mtiStatusReport:
		return incoming{hash: hash, report: &Report{
			Ref: t.MR, To: t.RA.Number(), Status: t.ST, SCTS: stamp(t.SCTS), Discharge: stamp(t.DT),
		}}, nil
	}
	return incoming{}, errPDU
}

// TP-MTI of what comes to a mobile (23.040, 9.2.3.1).
const (
	mtiDeliver      = 0
	mtiStatusReport = 2
)

// unmarshal keeps a panic of the library on a hostile PDU from taking the box down: the network chooses these bytes.
func unmarshal(b []byte) (t *tpdu.TPDU, err error) {
	defer func() {
		if recover() != nil {
			t, err = nil, errPDU
		}
	}()
	return sms.Unmarshal(b, sms.AsMT)
}

func deliver(t *tpdu.TPDU, hash [32]byte) *Text {
	out := &Text{From: t.OA.Number(), SCTS: stamp(t.SCTS), Part: 1, Parts: 1, Hash: hash}
	if parts, part, ref, ok := t.ConcatInfo(); ok && part >= 1 && part <= parts {
		out.Part, out.Parts, out.Ref = part, parts, uint16(ref)
	}
	body, err := body(t)
	if err != nil {
		out.Unreadable = true
		return out
	}
	out.Body = body
	return out
}

// body decodes one part. 8-bit data is for a program on the handset, not a text.
func body(t *tpdu.TPDU) (s string, err error) {
	defer func() {
		if recover() != nil {
			s, err = "", errPDU
		}
	}()
	if a, err := t.Alphabet(); err != nil || a == tpdu.Alpha8Bit || t.DCS.Compressed() {
		return "", fmt.Errorf("%w: not text", errPDU)
	}
	b, err := sms.Decode([]*tpdu.TPDU{t})
	if err != nil {
		return "", errPDU
	}
	return string(b), nil
}

// stamp is zero for a time stamp that mend had to take out.
func stamp(t tpdu.Timestamp) time.Time {
	if t.Year() == 2000 && t.YearDay() == 1 && t.Hour() == 0 && t.Minute() == 0 {
		return time.Time{}
	}
	return t.Time
}

// mend makes TPDUs readable that networks really send and the library refuses whole: a time stamp with digits over 9 (a service
// centre without a clock), a reserved coding group (to be read as the default alphabet, 23.038, 4), and octets behind the user
// data. It changes a copy; what it cannot make sense of it leaves to the library's error.
func mend(b []byte) []byte {
	b = append([]byte(nil), b...)
	switch b[0] & 3 {
	case mtiStatusReport: // FO MR RA SCTS DT ST
		if i, ok := afterAddress(b, 2); ok {
			mendStamp(b, i)
			mendStamp(b, i+7)
		}
	case mtiDeliver: // FO OA PID DCS SCTS UDL UD
		i, ok := afterAddress(b, 1)
		if !ok || len(b) < i+10 {
			return b
		}
		dcs := i + 1
		if b[dcs]&0xc0 == 0x80 {
			b[dcs] = 0
		}
		mendStamp(b, i+2)
		octets := int(b[i+9])
		if a, err := tpdu.DCS(b[dcs]).Alphabet(); err == nil && a == tpdu.Alpha7Bit {
			octets = (octets*7 + 7) / 8
		}
		if end := i + 10 + octets; end < len(b) {
			b = b[:end]
		}
	}
	return b
}

// afterAddress is the index behind the address field at i (23.040, 9.1.2.5).
func afterAddress(b []byte, i int) (int, bool) {
	if len(b) < i+2 {
		return 0, false
	}
	end := i + 2 + (int(b[i])+1)/2
	return end, end <= len(b)
}

// mendStamp replaces an impossible time stamp by midnight of 1 January 2000, which stamp turns into no time at all.
func mendStamp(b []byte, i int) {
	if len(b) < i+7 {
		return
	}
	s := b[i : i+7]
	for _, o := range s[:6] {
		if o&0x0f > 9 || o>>4 > 9 {
			copy(s, []byte{0x00, 0x10, 0x10, 0, 0, 0, 0})
			return
		}
	}
	if s[6]>>4 > 9 {
		s[6] = 0
	}
}
