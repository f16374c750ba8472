package access

import (
	"context"
	"testing"
)

// BenchmarkPassword is the work of one login.
func BenchmarkPassword(b *testing.B) {
	p := NewPasswords(0)
	for b.Loop() {
		if _, err := p.Verify(context.Background(), PasswordHash{}, "correct horse battery"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAuthenticate is one API request's proof.
func BenchmarkAuthenticate(b *testing.B) {
	box := newBox(b)
	c, secret := box.client(Portal)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := box.authenticate(c.SID, secret); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
