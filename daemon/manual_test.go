package daemon

import (
	"os"
	"reflect"
	"strings"
	"testing"
)

// TestManualTellsEachKey: every key of pinward.toml is in its manual page. The page is written by hand; this is what keeps it whole.
func TestManualTellsEachKey(t *testing.T) {
	b, err := os.ReadFile("../packaging/man/pinward.toml.5")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, ".It Ic ") && !strings.HasPrefix(line, ".Ss ") {
			continue
		}
		for _, w := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \n[],", r) }) {
			words[w] = true
		}
	}
	var walk func(reflect.Type)
	keys := 0
	walk = func(typ reflect.Type) {
		if typ.Kind() == reflect.Slice || typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct {
			return
		}
		for i := range typ.NumField() {
			f := typ.Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
			if key == "" && !f.Anonymous {
				continue
			}
			if key != "" {
				keys++
				// A table of a table stands as [[hl7.peer]] or [directory.roles].
				if !words[key] && !words["hl7."+key] && !words["directory."+key] {
					t.Errorf("the manual does not tell of %q", key)
				}
			}
			walk(f.Type)
		}
	}
	walk(reflect.TypeFor[Config]())
	if keys < 30 {
		t.Fatalf("%d keys found", keys)
	}
}
