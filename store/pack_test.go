package store

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

type packedRow struct {
	Name  string
	Count int
	Yes   bool
	At    time.Time
	List  []string
}

func rowFields(f *Fields, v *packedRow) {
	TextField(f, 1, &v.Name)
	IntField(f, 2, &v.Count)
	BoolField(f, 3, &v.Yes)
	TimeField(f, 4, &v.At)
	ListField(f, 5, &v.List, func(f *Fields, s *string) { TextField(f, 1, s) })
	if !f.Reading() {
		newer := "of a newer program"
		TextField(f, 99, &newer)
		IntField(f, 100, new(-1))
	}
}

var (
	packedRows = &Table[packedRow]{
		info:    &tableInfo{name: "test.packed", bucket: "t/test.packed", bookkeeping: "a test", schema: 1},
		packing: rowFields,
	}
	// unpackedRows is how the program before knew the same table.
	unpackedRows = &Table[packedRow]{info: &tableInfo{name: "test.packed", bucket: "t/test.packed", bookkeeping: "a test"}}
)

// TestPackedAndJSON: a table that is packed now gives what stood in it as JSON, and gives packed values as
// they were; to a program that knows only JSON they are newer, and not damaged.
func TestPackedAndJSON(t *testing.T) {
	s := open(t, t.TempDir(), newTestKeys(t))
	at := time.Date(1969, 12, 31, 23, 59, 59, 999_999_999, time.FixedZone("", -5*3600))
	v := packedRow{Name: "Ella\xff\x00", Count: -7, Yes: true, At: at, List: []string{"", "x"}}
	old := v
	old.Name = "Ella"
	for _, step := range []func(tx *Tx) error{
		func(tx *Tx) error { return unpackedRows.Put(tx, num(1), old) },
		func(tx *Tx) error { return packedRows.Put(tx, num(2), v) },
		func(tx *Tx) error { return packedRows.Put(tx, num(3), packedRow{}) },
	} {
		if err := s.Update(context.Background(), nurse, step); err != nil {
			t.Fatal(err)
		}
	}
	same := func(a, b packedRow) bool {
		x, err := json.Marshal(a)
		y, err2 := json.Marshal(b)
		return err == nil && err2 == nil && string(x) == string(y) && a.Name == b.Name
	}
	if err := s.View(context.Background(), func(tx *Tx) error {
		utc := v
		utc.At = at.UTC()
		for i, want := range map[int]packedRow{1: old, 2: utc, 3: {}} {
			if got, ok, err := packedRows.Get(tx, num(i)); err != nil || !ok || !same(got, want) {
				t.Errorf("row %d: %+v, %v, %v", i, got, ok, err)
			}
		}
		if _, _, err := unpackedRows.Get(tx, num(2)); !errors.Is(err, ErrNewer) {
			t.Errorf("the older program: %v", err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// FuzzUnpack: whatever stands there, unpacking ends, and what it takes packs to what unpacks the same.
func FuzzUnpack(f *testing.F) {
	f.Add(Pack(&packedRow{Name: "x", Count: 1, At: time.Unix(1, 1), List: []string{"y"}}, rowFields))
	f.Add([]byte{packVersion, 1<<1 | kindText, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Unpack(b, rowFields)
		if err != nil {
			return
		}
		again, err := Unpack(Pack(&v, rowFields), rowFields)
		if err != nil || again.Name != v.Name || again.Count != v.Count || again.Yes != v.Yes || !again.At.Equal(v.At) || len(again.List) != len(v.List) {
			t.Errorf("%+v became %+v: %v", v, again, err)
		}
	})
}

// TestFieldsRise: a record whose fields are named in another order than that of their numbers could not be
// read in one pass, so it cannot be written either.
func TestFieldsRise(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("fields in falling order are written")
		}
	}()
	Pack(&packedRow{Name: "x", Count: 1}, func(f *Fields, v *packedRow) {
		IntField(f, 2, &v.Count)
		TextField(f, 1, &v.Name)
	})
}
