package tpm

import "testing"

// The figures are a software TPM's: a real chip takes 50 to 200 times as long.

func BenchmarkUnseal(b *testing.B) {
	d := newChip(b).open()
	st, _, _ := commissioned(b, d, CommissionOptions{})
	for b.Loop() {
		keys, err := unsealed(b.Context(), d, st, "")
		if err != nil {
			b.Fatal(err)
		}
		keys.Close()
	}
}

func BenchmarkSignHead(b *testing.B) {
	_, _, keys := commissioned(b, newChip(b).open(), CommissionOptions{})
	note := make([]byte, 130)
	for b.Loop() {
		if _, err := keys.SignHead(b.Context(), note); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCounter(b *testing.B) {
	_, _, keys := commissioned(b, newChip(b).open(), CommissionOptions{})
	for b.Loop() {
		if _, err := keys.Counter(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkWrap(b *testing.B) {
	_, _, keys := commissioned(b, newChip(b).open(), CommissionOptions{})
	secret := make([]byte, 32)
	for b.Loop() {
		if _, err := keys.Wrap(b.Context(), secret); err != nil {
			b.Fatal(err)
		}
	}
}
