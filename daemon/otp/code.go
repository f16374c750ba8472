package otp

import (
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"pinward/store"
)

// Bounds of a code's length (NIST SP 800-63B asks for six; shorter ones are
// for what is less than a login).
const (
	MinCode = 4
	MaxCode = 10
)

// derive makes the code of a verification: HMAC-SHA-256 under the code key of
// the epoch over "code/v1" and the length-prefixed id, salt and generation,
// taken as a 256-bit integer mod 10^n. The bias of the remainder is below
// 2^-222, so there is no rejection loop.
func derive(tx *store.Tx, v Verification, digits int) (string, error) {
	mac, err := tx.CodeMAC(v.Epoch, codeInput(v.ID, v.Salt, v.Generation))
	if err != nil {
		return "", fmt.Errorf("derive code: %w", err)
	}
	return decimal(mac, digits), nil
}

// codeInput is what the code is derived from. The lengths keep any two
// different triples different.
func codeInput(id string, salt []byte, generation int) []byte {
	msg := []byte("code/v1")
	msg = binary.BigEndian.AppendUint32(msg, uint32(len(id)))
	msg = append(msg, id...)
	msg = binary.BigEndian.AppendUint32(msg, uint32(len(salt)))
	msg = append(msg, salt...)
	msg = binary.BigEndian.AppendUint32(msg, 8)
	return binary.BigEndian.AppendUint64(msg, uint64(generation))
}

// decimal is the big-endian integer mod 10^digits, zero padded.
func decimal(mac []byte, digits int) string {
	mod := uint64(1)
	for range digits {
		mod *= 10
	}
	var rest uint64 // < 10^10, so rest*256 stays below 2^42
	for _, b := range mac {
		rest = (rest*256 + uint64(b)) % mod
	}
	return fmt.Sprintf("%0*d", digits, rest)
}

// same compares in constant time what was typed with the code.
func same(code, typed string) bool {
	return subtle.ConstantTimeCompare([]byte(code), []byte(typed)) == 1
}

// typed brings what a person typed into the form of a code: spaces and dashes
// between digits are dropped.
func typed(s string) string {
	if len(s) > 4*MaxCode || !utf8.ValidString(s) {
		return ""
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '-', '\t', '\r', '\n', '\u00a0', '.':
			return -1
		}
		return r
	}, s)
}

// isCode reports whether s has the form of a code.
func isCode(s string) bool {
	if len(s) < MinCode || len(s) > MaxCode {
		return false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}
