package access

import (
	"crypto/rand"
	"encoding/hex"
)

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// secretLength letters of 62 hold 256 bits.
const secretLength = 43

// newSecret makes a secret of 256 bits, letters and digits only.
func newSecret() string {
	const fair = 256 - 256%len(alphabet) // bytes from here on would favour the first letters
	out := make([]byte, 0, secretLength)
	var pool [64]byte
	for {
		rand.Read(pool[:])
		for _, b := range pool {
			if int(b) >= fair {
				continue
			}
			if out = append(out, alphabet[int(b)%len(alphabet)]); len(out) == secretLength {
				return string(out)
			}
		}
	}
}

func newID(prefix string) string {
	var b [16]byte
	rand.Read(b[:])
	return prefix + hex.EncodeToString(b[:])
}
