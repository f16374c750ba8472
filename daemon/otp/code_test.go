package otp

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

func TestDecimalIsTheIntegerModTenToTheN(t *testing.T) {
	for i := range 2000 {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		digits := MinCode + i%(MaxCode-MinCode+1)
		mod := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil)
		want := fmt.Sprintf("%0*s", digits, new(big.Int).Mod(new(big.Int).SetBytes(sum[:]), mod).String())
		if got := decimal(sum[:], digits); got != want {
			t.Fatalf("%d digits of MAC %d: %s, not %s", digits, i, got, want)
		}
	}
}

func TestDecimalKeepsLeadingZeros(t *testing.T) {
	if got := decimal([]byte{7}, 6); got != "000007" {
		t.Errorf("code is %s", got)
	}
}

// Chi-squared over the last digit and the first digit: a reduction at fault
// (one byte a digit, say) shows as a bias.
func TestDigitsAreUniform(t *testing.T) {
	const n = 50_000
	var first, last [10]float64
	for i := range n {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64([]byte("uniform"), uint64(i)))
		code := decimal(sum[:], 6)
		first[code[0]-'0']++
		last[code[5]-'0']++
	}
	for name, counts := range map[string][10]float64{"first": first, "last": last} {
		chi := 0.0
		for _, c := range counts {
			chi += (c - n/10) * (c - n/10) / (n / 10)
		}
		if chi > 40 { // 9 degrees of freedom: p < 10^-5, and the input is fixed
			t.Errorf("%s digit: chi squared %.1f", name, chi)
		}
	}
}

func TestCodeInputsNeverMeet(t *testing.T) {
	seen := map[string]string{}
	for _, c := range []struct {
		id, salt string
		gen      int
	}{{"ab", "c", 0}, {"a", "bc", 0}, {"abc", "", 0}, {"", "abc", 0}, {"ab", "c", 1}, {"ab", "c", 256}} {
		key := string(codeInput(c.id, []byte(c.salt), c.gen))
		name := fmt.Sprint(c)
		if was, ok := seen[key]; ok {
			t.Errorf("%s and %s have the same input", was, name)
		}
		seen[key] = name
	}
}

func FuzzTyped(f *testing.F) {
	for _, s := range []string{"123456", " 123 456", "12-34", "١٢٣٤٥٦", "", "0000000000", "\x00123456", strings.Repeat(" ", 100) + "1234"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := typed(s)
		if len(got) > len(s) {
			t.Errorf("%d bytes became %d", len(s), len(got))
		}
		if isCode(got) && strings.Trim(got, "0123456789") != "" {
			t.Error("a code with something else than digits")
		}
		if typed(got) != got {
			t.Error("reading twice gives something else")
		}
	})
}
