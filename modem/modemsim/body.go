package modemsim

import (
	"encoding/hex"
)

// alphabet is the character set that a TP-DCS names, 23.038 section 4.
type alphabet int

const (
	gsm7Bit alphabet = iota
	data8Bit
	ucs2
)

// body is the text of a TPDU with what is needed to read it: TP-DCS, TP-UDHI,
// TP-UDL (septets or octets) and TP-UD.
type body struct {
	DCS    byte   `json:"dcs"`
	UDHI   bool   `json:"udhi"`
	Length int    `json:"length"`
	Data   []byte `json:"data"`
}

// alphabet reads TP-DCS; what is reserved counts as the default alphabet.
func (d body) alphabet() alphabet {
	switch group := d.DCS >> 4; {
	case group < 8: // general data coding, automatic deletion
		return [4]alphabet{gsm7Bit, data8Bit, ucs2, gsm7Bit}[d.DCS>>2&3]
	case group == 0xe: // message waiting, store, UCS-2
		return ucs2
	case group == 0xf && d.DCS&4 != 0:
		return data8Bit
	}
	return gsm7Bit
}

// class is the message class, 0 to 3, or nil when the TPDU gives none.
func (d body) class() *int {
	group := d.DCS >> 4
	if group == 0xf || group < 8 && d.DCS&0x10 != 0 {
		c := int(d.DCS & 3)
		return &c
	}
	return nil
}

// concat says which part of which message a TPDU is; Total is 1 where it stands alone.
type concat struct{ Ref, Total, Seq int }

// header calls f for each information element of the user data header and tells
// whether the header was whole.
func (d body) header(f func(id byte, data []byte)) bool {
	if !d.UDHI {
		return true
	}
	if len(d.Data) == 0 || int(d.Data[0])+1 > len(d.Data) {
		return false
	}
	r := reader{b: d.Data[1 : 1+int(d.Data[0])]}
	for len(r.b) > 0 {
		id := r.octet()
		data := r.take(int(r.octet()))
		if r.bad {
			return false
		}
		f(id, data)
	}
	return true
}

func (d body) headerWhole() bool { return d.header(func(byte, []byte) {}) }

// concat reads the concatenation elements, 23.040 sections 9.2.3.24.1 and
// 9.2.3.24.8; as the specification asks, an impossible one is ignored.
func (d body) concat() concat {
	c := concat{Total: 1, Seq: 1}
	d.header(func(id byte, data []byte) {
		var n concat
		switch {
		case id == 0x00 && len(data) == 3:
			n = concat{int(data[0]), int(data[1]), int(data[2])}
		case id == 0x08 && len(data) == 4:
			n = concat{int(data[0])<<8 | int(data[1]), int(data[2]), int(data[3])}
		}
		if n.Total > 0 && n.Seq > 0 && n.Seq <= n.Total {
			c = n
		}
	})
	return c
}

// text reads the user data behind its header. Eight bit data has no characters:
// it is shown as hex.
func (d body) text() string {
	head := 0
	if d.UDHI && len(d.Data) > 0 {
		head = min(1+int(d.Data[0]), len(d.Data))
	}
	switch d.alphabet() {
	case ucs2:
		return ucs2Text(d.Data[head:])
	case data8Bit:
		return hex.EncodeToString(d.Data[head:])
	}
	skip := (head*8 + 6) / 7 // septets that the header covers, its fill bits among them
	if skip > d.Length || septetOctets(d.Length, 0) > len(d.Data) {
		return ""
	}
	return gsmText(unpack(d.Data, 0, d.Length)[skip:])
}

// newBody writes one part behind the user data header udh (nil for none, else with its length octet).
func newBody(udh, septets, octets []byte, dcs byte) body {
	d := body{DCS: dcs, UDHI: udh != nil}
	if dcs == 0 {
		skip := (len(udh)*8 + 6) / 7
		d.Length = skip + len(septets)
		packed := pack(septets, skip*7)
		copy(packed, udh)
		d.Data = packed
		return d
	}
	d.Data = append(append([]byte(nil), udh...), octets...)
	d.Length = len(d.Data)
	return d
}

// bodies writes text as one part, or as several under the 8 bit reference ref:
// GSM 7 bit where the alphabet has every character, else UCS-2. No part ends
// within an escape sequence or a surrogate pair.
func bodies(text string, ref byte) []body {
	units, dcs, whole, part := splitUnits(text)
	if total := len(units); total <= whole {
		return []body{unitsBody(units, nil, dcs)}
	}
	var parts [][]unit
	for size := 0; len(units) > 0; units = units[size:] {
		size = min(part, len(units))
		for size < len(units) && units[size].follows {
			size--
		}
		parts = append(parts, units[:size])
	}
	out := make([]body, len(parts))
	for i, p := range parts {
		out[i] = unitsBody(p, []byte{5, 0, 3, ref, byte(len(parts)), byte(i + 1)}, dcs)
	}
	return out
}

// unit is one septet or one UCS-2 code unit; follows means that it must not be
// parted from the one before.
type unit struct {
	v       uint16
	follows bool
}

func splitUnits(text string) (units []unit, dcs byte, whole, part int) {
	if septets, ok := gsmSeptets(text); ok {
		for i, s := range septets {
			units = append(units, unit{uint16(s), i > 0 && septets[i-1] == gsmEscape})
		}
		return units, 0x00, 160, 153
	}
	b := ucs2Octets(text)
	for i := 0; i < len(b); i += 2 {
		v := uint16(b[i])<<8 | uint16(b[i+1])
		units = append(units, unit{v, v >= 0xdc00 && v <= 0xdfff})
	}
	return units, 0x08, 70, 67
}

func unitsBody(units []unit, udh []byte, dcs byte) body {
	var septets, octets []byte
	for _, u := range units {
		septets = append(septets, byte(u.v))
		octets = append(octets, byte(u.v>>8), byte(u.v))
	}
	return newBody(udh, septets, octets, dcs)
}
