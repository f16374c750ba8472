package storetest

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"pinward/store"
)

// Packing tests the packed form of a table's values. full has no field that is zero, so that one that was
// forgotten shows; sum is the beginning of the packed form in hexadecimal digits, which must stay
// what it is as long as there are stores that hold it. What JSON from before gives is the same value.
func Packing[T any](t *testing.T, full T, sum string, fields func(*store.Fields, *T)) {
	t.Helper()
	whole(t, reflect.ValueOf(full), fmt.Sprintf("%T", full))
	for _, v := range []T{*new(T), full} {
		b := store.Pack(&v, fields)
		got, err := store.Unpack(b, fields)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%T does not come back from its packed form: %v", v, err)
		}
	}
	b := store.Pack(&full, fields)
	if got := hex.EncodeToString(b); got != sum {
		t.Errorf("the packed form of %T is now %s", full, got)
	}
	for i := range b {
		_, _ = store.Unpack(b[:i], fields) // no more than an error
	}
	var old T
	if text, err := json.Marshal(full); err != nil || json.Unmarshal(text, &old) != nil || !reflect.DeepEqual(old, full) {
		t.Errorf("%T does not come back from JSON: %v", full, err)
	}
}

// whole complains of exported fields that are zero, at any depth.
func whole(t *testing.T, v reflect.Value, path string) {
	t.Helper()
	if v.Kind() == reflect.Struct && v.Type() != reflect.TypeFor[time.Time]() {
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
				whole(t, v.Field(i), path+"."+f.Name)
			}
		}
	}
	if v.IsZero() {
		t.Errorf("%s is zero", path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		whole(t, v.Elem(), path)
	case reflect.Slice:
		for i := range v.Len() {
			whole(t, v.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	}
}
