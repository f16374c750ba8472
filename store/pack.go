package store

import (
	"encoding/binary"
	"errors"
	"time"
)

// Packed keeps a table's values in a short form in place of JSON, for records that a busy box writes and
// reads thousands of times in a second. A packed value is its version, a byte with which no JSON begins,
// and its fields, each under a number of its own that is never given to another; what is zero is left out.
// JSON that stands in the table from before stays readable. Give the table a new [Schema] along with
// it: a program that knows only JSON then says that the value is newer, and not that it is damaged.
//
// pack writes the fields of v, and unpack sets the one that it is given, and passes over numbers that it
// does not know. Such a table has no migrations.
func Packed[T any](pack func(p *Packer, v *T), unpack func(v *T, f Field)) TableOption {
	return func(t *tableInfo) { t.packing = &packing[T]{pack, unpack} }
}

type packing[T any] struct {
	pack   func(p *Packer, v *T)
	unpack func(v *T, f Field)
}

// packVersion begins a packed value.
const packVersion = 1

// Pack gives the packed form of a value.
func Pack[T any](v *T, pack func(p *Packer, v *T)) []byte {
	p := Packer{append(make([]byte, 0, 256), packVersion)}
	pack(&p, v)
	return p.b
}

// Unpack takes what Pack gave.
func Unpack[T any](b []byte, unpack func(v *T, f Field)) (v T, err error) {
	if len(b) == 0 || b[0] != packVersion {
		return v, errPacked
	}
	eachField(b[1:], &err, func(f Field) { unpack(&v, f) })
	return v, err
}

var errPacked = errors.New("read packed value: it is cut, or of another form")

// Packer writes the fields of a value.
type Packer struct{ b []byte }

// A field is its number and kind in one varint, and a varint, or a length and as many bytes.
const (
	kindInt  = 0
	kindText = 1
)

func (p *Packer) mark(n uint64, kind uint64) { p.b = binary.AppendUvarint(p.b, n<<1|kind) }

// Int writes a number.
func (p *Packer) Int(n uint64, v int64) {
	if v != 0 {
		p.mark(n, kindInt)
		p.b = binary.AppendVarint(p.b, v)
	}
}

// Bool writes what is true.
func (p *Packer) Bool(n uint64, v bool) {
	if v {
		p.Int(n, 1)
	}
}

// Text writes a string, or bytes in it.
func (p *Packer) Text(n uint64, s string) {
	if s != "" {
		p.mark(n, kindText)
		p.b = append(binary.AppendUvarint(p.b, uint64(len(s))), s...)
	}
}

// Time writes an instant, to the nanosecond. It is read back in UTC.
func (p *Packer) Time(n uint64, t time.Time) {
	if !t.IsZero() {
		var b [2 * binary.MaxVarintLen64]byte
		p.Text(n, string(binary.AppendUvarint(binary.AppendVarint(b[:0], t.Unix()), uint64(t.Nanosecond()))))
	}
}

// Part writes fields of their own, also where all of them are zero: one element of a list, or what a
// pointer points to.
func (p *Packer) Part(n uint64, fields func(*Packer)) {
	var inner Packer
	fields(&inner)
	p.mark(n, kindText)
	p.b = append(binary.AppendUvarint(p.b, uint64(len(inner.b))), inner.b...)
}

// Field is one field of a packed value.
type Field struct {
	N    uint64 // its number
	i    int64
	text []byte
	bad  *error // set if the value turns out not to be whole
}

// Int is the field as a number.
func (f Field) Int() int64 { return f.i }

// Bool is the field as a truth.
func (f Field) Bool() bool { return f.i != 0 }

// Text is the field as a string.
func (f Field) Text() string { return string(f.text) }

// Time is the field as an instant, in UTC.
func (f Field) Time() time.Time {
	sec, n := binary.Varint(f.text)
	if n <= 0 {
		*f.bad = errPacked
		return time.Time{}
	}
	nsec, m := binary.Uvarint(f.text[n:])
	if m <= 0 || n+m != len(f.text) || nsec >= uint64(time.Second) {
		*f.bad = errPacked
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

// Each calls fn with the fields of a part.
func (f Field) Each(fn func(Field)) { eachField(f.text, f.bad, fn) }

// Refuse says that the field cannot be what it is meant to be: the value does not open.
func (f Field) Refuse() { *f.bad = errPacked }

func eachField(b []byte, bad *error, fn func(Field)) {
	for len(b) > 0 {
		mark, n := binary.Uvarint(b)
		if n <= 0 {
			*bad = errPacked
			return
		}
		f := Field{N: mark >> 1, bad: bad}
		b = b[n:]
		if mark&1 == kindInt {
			f.i, n = binary.Varint(b)
		} else {
			var size uint64
			if size, n = binary.Uvarint(b); n > 0 {
				if size > uint64(len(b)-n) {
					*bad = errPacked
					return
				}
				f.text = b[n : n+int(size)]
				n += int(size)
			}
		}
		if n <= 0 {
			*bad = errPacked
			return
		}
		b = b[n:]
		fn(f)
		if *bad != nil {
			return
		}
	}
}
