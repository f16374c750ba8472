package store

import (
	"encoding/binary"
	"errors"
	"maps"
	"math"
	"slices"
	"time"
)

// Packed keeps a table's values in a short form in place of JSON, for records that a busy box writes and
// reads thousands of times in a second. A packed value is its version, a byte with which no JSON begins,
// and its fields, each under a number of its own that is never given to another; what is zero is left out.
// JSON that stands in the table from before stays readable. Give the table a new [Schema] along with
// it: a program that knows only JSON then says that the value is newer, and not that it is damaged.
//
// fields names the fields of v in the order of their numbers ([TextField] and its like); it serves to write them
// and to read them. Numbers that it does not name are passed over. Such a table has no migrations.
func Packed[T any](fields func(f *Fields, v *T)) TableOption {
	return func(t *tableInfo) { t.packing = packing[T](fields) }
}

type packing[T any] func(f *Fields, v *T)

// packVersion begins a packed value.
const packVersion = 1

// Pack gives the packed form of a value.
func Pack[T any](v *T, fields func(*Fields, *T)) []byte {
	f := Fields{b: append(make([]byte, 0, 256), packVersion)}
	fields(&f, v)
	return f.b
}

// Unpack takes what Pack gave.
func Unpack[T any](b []byte, fields func(*Fields, *T)) (v T, err error) {
	if len(b) == 0 || b[0] != packVersion {
		return v, errPacked
	}
	f := Fields{b: b[1:], reading: true}
	fields(&f, &v)
	f.end()
	if f.bad {
		return v, errPacked
	}
	return v, nil
}

var errPacked = errors.New("read packed value: it is cut, or of another form")

// Fields are those of one value, while they are written or read.
type Fields struct {
	b       []byte // what is written so far, or what is left to read
	reading bool
	head    uint64 // reading: the mark of the field that comes next, 0 before it is read
	last    int    // writing: the number of the field before
	bad     bool
}

// Reading says whether the fields are read: a field that stands in the value is set when its function returns.
func (f *Fields) Reading() bool { return f.reading }

// Refuse says that a field cannot be what it is meant to be: the value does not open.
func (f *Fields) Refuse() { f.bad = true }

// A field is its number and kind in one varint, and a varint, or a length and as many bytes.
const (
	kindInt  = 0
	kindText = 1
)

// mark begins a field. Rising numbers are what lets a reader find them in one pass.
func (f *Fields) mark(n int, kind uint64) {
	if n < f.last {
		panic("store: a packed field after one of a higher number")
	}
	f.last = n
	f.b = binary.AppendUvarint(f.b, uint64(n)<<1|kind)
}

func (f *Fields) text(n int, s string) {
	f.mark(n, kindText)
	f.b = append(binary.AppendUvarint(f.b, uint64(len(s))), s...)
}

// next finds the next field of number n, past all of lower numbers; its value is i, or text.
func (f *Fields) next(n int, kind uint64) (i int64, text []byte, ok bool) {
	for f.at() <= n {
		found := f.head
		f.head = 0
		if found&1 == kindInt {
			i, f.bad = f.int()
		} else {
			text, f.bad = f.bytes()
		}
		if found>>1 == uint64(n) {
			f.bad = f.bad || found&1 != kind
			return i, text, !f.bad
		}
	}
	return 0, nil, false
}

// at is the number of the field that comes next, beyond all if there is none.
func (f *Fields) at() int {
	if f.bad {
		return math.MaxInt
	}
	if f.head == 0 {
		if len(f.b) == 0 {
			return math.MaxInt
		}
		mark, size := binary.Uvarint(f.b)
		if size <= 0 || mark>>1 == 0 {
			f.bad = true
			return math.MaxInt
		}
		f.head, f.b = mark, f.b[size:]
	}
	return int(f.head >> 1)
}

func (f *Fields) int() (i int64, bad bool) {
	i, size := binary.Varint(f.b)
	if size <= 0 {
		return 0, true
	}
	f.b = f.b[size:]
	return i, false
}

func (f *Fields) bytes() (b []byte, bad bool) {
	length, size := binary.Uvarint(f.b)
	if size <= 0 || length > uint64(len(f.b)-size) {
		return nil, true
	}
	b, f.b = f.b[size:size+int(length)], f.b[size+int(length):]
	return b, false
}

// end passes over what is left, which has to be whole.
func (f *Fields) end() { f.next(math.MaxInt-1, kindText) }

// part writes or reads fields within field n, in the place of f's own.
func (f *Fields) part(n int, fields func()) {
	f.mark(n, kindText)
	from := len(f.b)
	f.last = 0
	fields()
	f.last = n
	// Most are shorter than 128 bytes, and their length one byte: put it before what is written already.
	var length [binary.MaxVarintLen64]byte
	f.b = slices.Insert(f.b, from, length[:binary.PutUvarint(length[:], uint64(len(f.b)-from))]...)
}

func (f *Fields) within(text []byte, fields func()) {
	b, head := f.b, f.head
	f.b, f.head = text, 0
	fields()
	f.end()
	f.b, f.head = b, head
}

// TextField is a string, or bytes.
func TextField[S ~string | ~[]byte](f *Fields, n int, v *S) {
	if !f.reading {
		if len(*v) > 0 {
			f.text(n, string(*v))
		}
	} else if _, text, ok := f.next(n, kindText); ok {
		*v = S(string(text))
	}
}

// IntField is a number.
func IntField[I ~int | ~int64 | ~uint8 | ~uint64](f *Fields, n int, v *I) {
	if !f.reading {
		if *v != 0 {
			f.mark(n, kindInt)
			f.b = binary.AppendVarint(f.b, int64(*v))
		}
	} else if i, _, ok := f.next(n, kindInt); ok {
		*v = I(i)
	}
}

// BoolField is a truth.
func BoolField(f *Fields, n int, v *bool) {
	i := 0
	if *v {
		i = 1
	}
	IntField(f, n, &i)
	*v = i != 0
}

// TimeField is an instant, to the nanosecond. It is read in UTC.
func TimeField(f *Fields, n int, v *time.Time) {
	if !f.reading {
		if !v.IsZero() {
			var b [2 * binary.MaxVarintLen64]byte
			f.text(n, string(binary.AppendUvarint(binary.AppendVarint(b[:0], v.Unix()), uint64(v.Nanosecond()))))
		}
		return
	}
	_, text, ok := f.next(n, kindText)
	if !ok {
		return
	}
	sec, size := binary.Varint(text)
	nsec, more := binary.Uvarint(text[max(0, size):])
	if size <= 0 || more <= 0 || size+more != len(text) || nsec >= uint64(time.Second) {
		f.Refuse()
		return
	}
	*v = time.Unix(sec, int64(nsec)).UTC()
}

// PartField is a value with fields of its own.
func PartField[T comparable](f *Fields, n int, v *T, fields func(*Fields, *T)) {
	if !f.reading {
		if *v != *new(T) {
			f.part(n, func() { fields(f, v) })
		}
	} else if _, text, ok := f.next(n, kindText); ok {
		f.within(text, func() { fields(f, v) })
	}
}

// PointerField is a value that may be absent: one that is there is kept even if it is zero.
func PointerField[T any](f *Fields, n int, v **T, fields func(*Fields, *T)) {
	if !f.reading {
		if *v != nil {
			f.part(n, func() { fields(f, *v) })
		}
	} else if _, text, ok := f.next(n, kindText); ok {
		*v = new(T)
		f.within(text, func() { fields(f, *v) })
	}
}

// ListField is a list of values, each with its fields, also where all of them are zero.
func ListField[T any](f *Fields, n int, v *[]T, fields func(*Fields, *T)) {
	if !f.reading {
		for i := range *v {
			f.part(n, func() { fields(f, &(*v)[i]) })
		}
		return
	}
	for _, text, ok := f.next(n, kindText); ok; _, text, ok = f.next(n, kindText) {
		*v = append(*v, *new(T))
		f.within(text, func() { fields(f, &(*v)[len(*v)-1]) })
	}
}

// MapField is a map of strings.
func MapField[M ~map[string]string](f *Fields, n int, v *M) {
	type pair struct{ key, value string }
	fields := func(f *Fields, p *pair) {
		TextField(f, 1, &p.key)
		TextField(f, 2, &p.value)
	}
	var list []pair
	for _, key := range slices.Sorted(maps.Keys(*v)) {
		list = append(list, pair{key, (*v)[key]})
	}
	ListField(f, n, &list, fields)
	if f.reading && len(list) > 0 {
		*v = make(M, len(list))
		for _, p := range list {
			(*v)[p.key] = p.value
		}
	}
}
