package modemsim

import (
	"time"
)

// submit is an SMS-SUBMIT, 23.040 section 9.2.2.2, as the service centre reads it.
type submit struct {
	MR               byte          `json:"mr"`
	To               string        `json:"to"`
	PID              byte          `json:"pid"`
	RejectDuplicates bool          `json:"rd,omitempty"`
	StatusReport     bool          `json:"srr,omitempty"`
	ReplyPath        bool          `json:"rp,omitempty"`
	Validity         time.Duration `json:"validity,omitempty"` // 0: the TPDU gives none
	Body             body          `json:"body"`
}

// decodeSubmit reads an SMS-SUBMIT. Anything over, short or contradictory is
// errPDU: a modem refuses it before the network sees it.
func decodeSubmit(tpdu []byte, now time.Time) (submit, error) {
	r := &reader{b: tpdu}
	first := r.octet()
	if first&0x03 != 0x01 {
		return submit{}, errPDU
	}
	s := submit{
		RejectDuplicates: first&0x04 != 0,
		StatusReport:     first&0x20 != 0,
		ReplyPath:        first&0x80 != 0,
	}
	s.MR = r.octet()
	s.To = r.address()
	s.PID = r.octet()
	dcs := r.octet()
	s.Validity = r.validity(first>>3&3, now)
	s.Body = r.userData(dcs, first&0x40 != 0)
	if r.bad || len(r.b) > 0 || s.To == "" || s.To == "+" {
		return submit{}, errPDU
	}
	return s, nil
}

// validity reads TP-VP in the form that TP-VPF names, 23.040 section 9.2.3.12.
func (r *reader) validity(format byte, now time.Time) time.Duration {
	switch format {
	case 2:
		return relativeValidity(r.octet())
	case 3:
		return max(r.timestamp().Sub(now), time.Second)
	case 1:
		b := r.take(7)
		switch b[0] & 7 {
		case 1:
			return relativeValidity(b[1])
		case 2:
			return time.Duration(b[1]) * time.Second
		case 3:
			return time.Duration(unswapped(b[1]))*time.Hour + time.Duration(unswapped(b[2]))*time.Minute +
				time.Duration(unswapped(b[3]))*time.Second
		}
	}
	return 0
}

// relativeValidity is the table of 23.040 section 9.2.3.12.1.
func relativeValidity(v byte) time.Duration {
	const day = 24 * time.Hour
	n := time.Duration(v)
	switch {
	case v < 144:
		return (n + 1) * 5 * time.Minute
	case v < 168:
		return 12*time.Hour + (n-143)*30*time.Minute
	case v < 197:
		return (n - 166) * day
	}
	return (n - 192) * 7 * day
}

// encode writes the SMS-SUBMIT without TP-VP unless vp is given (its octet,
// relative). Text mode (+CMGF=1) makes its TPDUs so.
func (s submit) encode(vp *byte) []byte {
	first := byte(0x01)
	for bit, on := range map[byte]bool{0x04: s.RejectDuplicates, 0x10: vp != nil, 0x20: s.StatusReport, 0x40: s.Body.UDHI, 0x80: s.ReplyPath} {
		if on {
			first |= bit
		}
	}
	b := appendAddress([]byte{first, s.MR}, s.To)
	b = append(b, s.PID, s.Body.DCS)
	if vp != nil {
		b = append(b, *vp)
	}
	return append(append(b, byte(s.Body.Length)), s.Body.Data...)
}

// deliver is an SMS-DELIVER, 23.040 section 9.2.2.1.
type deliver struct {
	From string    `json:"from"`
	PID  byte      `json:"pid"`
	SCTS time.Time `json:"scts"`
	Body body      `json:"body"`
}

// encode writes the SMS-DELIVER, no more messages waiting.
func (d deliver) encode() []byte {
	first := byte(0x04)
	if d.Body.UDHI {
		first |= 0x40
	}
	b := appendAddress([]byte{first}, d.From)
	b = append(b, d.PID, d.Body.DCS)
	b = appendTime(b, d.SCTS)
	return append(append(b, byte(d.Body.Length)), d.Body.Data...)
}

// decodeDeliver reads an SMS-DELIVER, for +CMGR and +CMGL in text mode.
func decodeDeliver(tpdu []byte) (deliver, error) {
	r := &reader{b: tpdu}
	first := r.octet()
	if first&0x03 != 0 {
		return deliver{}, errPDU
	}
	d := deliver{From: r.address(), PID: r.octet()}
	dcs := r.octet()
	d.SCTS = r.timestamp()
	d.Body = r.userData(dcs, first&0x40 != 0)
	if r.bad {
		return deliver{}, errPDU
	}
	return d, nil
}

// The TP-ST values that this network gives, 23.040 section 9.2.3.15.
const (
	statusReceived    = 0x00 // received by the handset
	statusMemoryFull  = 0x25 // error in the handset, the centre keeps trying
	statusExpired     = 0x46 // validity period expired
	statusUnavailable = 0x41 // incompatible destination: no such thing can take it
)

// report is an SMS-STATUS-REPORT, 23.040 section 9.2.2.3.
type report struct {
	MR        byte      `json:"mr"`
	To        string    `json:"to"`
	SCTS      time.Time `json:"scts"`
	Discharge time.Time `json:"dt"`
	Status    byte      `json:"st"`
}

// encode writes the SMS-STATUS-REPORT as the result of an SMS-SUBMIT.
func (s report) encode() []byte {
	b := appendAddress([]byte{0x06, s.MR}, s.To)
	b = appendTime(b, s.SCTS)
	b = appendTime(b, s.Discharge)
	return append(b, s.Status)
}
