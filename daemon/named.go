package daemon

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"time"
)

// named is a value of the configuration with where it stands, as "hl7 mllp".
type named struct{ place, value string }

// valuesOf finds the strings of the configuration under any of these keys, whatever table they stand in:
// a table that is added later is looked at as well.
func (c Config) valuesOf(keys ...string) (list []named) {
	var walk func(place string, v reflect.Value)
	walk = func(place string, v reflect.Value) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() {
				walk(place, v.Elem())
			}
		case reflect.Slice:
			for i := range v.Len() {
				walk(place, v.Index(i))
			}
		case reflect.Struct:
			if name := v.FieldByName("Name"); name.Kind() == reflect.String && name.String() != "" {
				place += " " + name.String()
			}
			for f, field := range v.Fields() {
				key := f.Tag.Get("toml")
				if key == "" {
					continue
				}
				if field.Kind() == reflect.String && slices.Contains(keys, key) && field.String() != "" {
					list = append(list, named{place, field.String()})
				}
				walk(strings.TrimSpace(place+" "+key), field)
			}
		}
	}
	walk("", reflect.ValueOf(c))
	return list
}

// dialled are the names that the box dials by the relay, with what for.
func (c Config) dialled() map[string]string {
	out := map[string]string{}
	for _, n := range c.valuesOf("relay", "back") {
		out[n.value] = n.place
	}
	return out
}

// expiry tells when each certificate file of the configuration runs out: of the one in it that does so
// first. A file that cannot be read is not in it.
func (c Config) expiry() map[string]time.Time {
	out := map[string]time.Time{}
	for _, f := range c.certificateFiles() {
		if at, _, err := expiryOf(f.value); err == nil {
			out[f.place] = at
		}
	}
	return out
}

// expiryOf is when the certificates of a PEM file run out: the one that does so first, and the last of them.
func expiryOf(path string) (first, last time.Time, err error) {
	if err := regular(path); err != nil {
		return first, last, fmt.Errorf("read certificate: %w", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return first, last, fmt.Errorf("read certificate: %w", err)
	}
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return first, last, fmt.Errorf("read certificate: %w", err)
		}
		if first.IsZero() || cert.NotAfter.Before(first) {
			first = cert.NotAfter
		}
		if cert.NotAfter.After(last) {
			last = cert.NotAfter
		}
	}
	if first.IsZero() {
		return first, last, fmt.Errorf("read certificate: %s holds none", path)
	}
	return first, last, nil
}

// regular refuses what is no file: who looks at health would wait for somebody to write into a pipe.
func regular(path string) error {
	fi, err := os.Stat(path)
	if err == nil && !fi.Mode().IsRegular() {
		return fmt.Errorf("%s is no file", path)
	}
	return err
}

// names are the keys of a map in order.
func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
