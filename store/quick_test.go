package store

import (
	"bytes"
	"encoding/json"
	"testing"
)

// FuzzQuickJSON holds what is written and read here against package json.
func FuzzQuickJSON(f *testing.F) {
	for _, s := range []string{"", "plain id 0123", `"`, `\`, "<b>&", "\n", "\x7f", "é", "\xff", `"a"`, `"a\u0041"`, `"`, `""`, `{}`, "null", `"<"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want, err := json.Marshal(s)
		if err != nil {
			t.Skip()
		}
		if got := quickJSON(&s); got != nil && !bytes.Equal(got, want) {
			t.Errorf("%q is written as %q, by package json as %q", s, got, want)
		}
		var back, other string
		if readQuickJSON(want, &back) && json.Unmarshal(want, &other) == nil && back != other {
			t.Errorf("%q is read as %q, by package json as %q", want, back, other)
		}
		// As somebody else may have written it.
		back, other = "", ""
		if readQuickJSON([]byte(s), &back) && (json.Unmarshal([]byte(s), &other) != nil || back != other) {
			t.Errorf("%q is read as %q, by package json as %q", s, back, other)
		}
		if readQuickJSON([]byte(s), &struct{}{}) && s != "{}" {
			t.Errorf("%q is read as an empty struct", s)
		}
	})
}

func TestQuickJSON(t *testing.T) {
	id, nothing, number := "SM0123", struct{}{}, 7
	for _, c := range []struct {
		v    any
		want string
	}{{&id, `"SM0123"`}, {&nothing, `{}`}, {&number, ""}} {
		if got := quickJSON(c.v); string(got) != c.want {
			t.Errorf("%T is written as %q, want %q", c.v, got, c.want)
		}
	}
	if back := ""; !readQuickJSON([]byte(`"SM0123"`), &back) || back != id {
		t.Errorf("an id is read as %q", back)
	}
	if readQuickJSON([]byte("7"), &number) {
		t.Error("a number is read here")
	}
}
