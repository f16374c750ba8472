package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-tpm/tpm2"
)

// Somebody between daemon and chip offers a storage key of his own, to read what is salted to it.
func TestPinnedSRKRefusesInterposer(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	b := newBus(t, c)
	d := openAt(t, b.path)
	st, _, keys := commissioned(t, d, CommissionOptions{})
	theirs, _, _ := commissioned(t, newChip(t).open(), CommissionOptions{})
	var sessions atomic.Int32
	b.intercept(func(command []byte) []byte {
		switch code(command) {
		case tpm2.TPMCCStartAuthSession:
			sessions.Add(1)
		case tpm2.TPMCCReadPublic:
			body := binary.BigEndian.AppendUint16(nil, uint16(len(theirs.SRK.Public)))
			body = append(body, theirs.SRK.Public...)
			for range 2 { // name and qualified name: he claims ours
				body = binary.BigEndian.AppendUint16(body, uint16(len(st.SRK.Name)))
				body = append(body, st.SRK.Name...)
			}
			rsp := binary.BigEndian.AppendUint32([]byte{0x80, 0x01}, uint32(headerSize+len(body)))
			return append(append(rsp, 0, 0, 0, 0), body...)
		}
		return nil
	}, nil)
	if _, err := unsealed(ctx, d, st, ""); !errors.Is(err, ErrCleared) {
		t.Fatalf("Unseal: got %v, want ErrCleared", err)
	}
	if _, err := keys.SignHead(ctx, []byte("note")); !errors.Is(err, ErrCleared) {
		t.Fatalf("SignHead: got %v, want ErrCleared", err)
	}
	if sessions.Load() != 0 {
		t.Fatalf("%d sessions were salted to a key that is not pinned", sessions.Load())
	}
}

// Somebody shows the right storage key but has another TPM behind him.
func TestInterposerWithoutTheKeyGetsNowhere(t *testing.T) {
	ctx := testContext(t)
	genuine, _, _ := commissioned(t, newChip(t).open(), CommissionOptions{})
	c := newChip(t)
	b := newBus(t, c)
	d := openAt(t, b.path)
	commissioned(t, d, CommissionOptions{})
	b.intercept(func(command []byte) []byte {
		if code(command) != tpm2.TPMCCReadPublic {
			return nil
		}
		body := binary.BigEndian.AppendUint16(nil, uint16(len(genuine.SRK.Public)))
		body = append(body, genuine.SRK.Public...)
		for range 2 {
			body = binary.BigEndian.AppendUint16(body, uint16(len(genuine.SRK.Name)))
			body = append(body, genuine.SRK.Name...)
		}
		rsp := binary.BigEndian.AppendUint32([]byte{0x80, 0x01}, uint32(headerSize+len(body)))
		return append(append(rsp, 0, 0, 0, 0), body...)
	}, nil)
	if keys, err := unsealed(ctx, d, genuine, ""); err == nil {
		keys.Close()
		t.Fatal("unsealed with another TPM")
	}
}

// The values that the key is sealed to are covered by the salted session's HMAC.
func TestInterposerCannotLieAboutPCRs(t *testing.T) {
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	var lied atomic.Bool
	b.intercept(nil, func(command, response []byte) []byte {
		if code(command) == tpm2.TPMCCPCRRead {
			// header, parameterSize, update counter, one selection (count, hash, size, bits), one digest (count, size).
			lied.Store(true)
			response = bytes.Clone(response)
			response[headerSize+4+4+4+2+1+3+4+2] ^= 1
		}
		return response
	})
	_, _, _, err := Commission(testContext(t), d, CommissionOptions{Mode: ModeTPM, BoxID: "clinic-7"})
	if err == nil || !lied.Load() || !strings.Contains(err.Error(), "read PCR 7") {
		t.Fatalf("lied %v, got %v", lied.Load(), err)
	}
	b.intercept(nil, nil)
	wantEmpty(t, d)
}

// A chip or bus that alters a signature is found out before anybody keeps it.
func TestAlteredAnswersAreRefused(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	_, _, keys := commissioned(t, d, CommissionOptions{})
	for name, cc := range map[string]tpm2.TPMCC{"hash": tpm2.TPMCCHash, "signature": tpm2.TPMCCSign} {
		b.intercept(nil, func(command, response []byte) []byte {
			if code(command) == cc {
				response = bytes.Clone(response)
				response[headerSize+12] ^= 1
			}
			return response
		})
		if _, err := keys.SignHead(ctx, []byte("note")); err == nil {
			t.Errorf("altered %s: accepted", name)
		}
	}
	b.intercept(nil, func(command, response []byte) []byte {
		if code(command) == tpm2.TPMCCNVRead {
			response = bytes.Clone(response)
			response[headerSize+4+2+7] ^= 1 // last byte of the counter
		}
		return response
	})
	if _, err := keys.Counter(ctx); err == nil {
		t.Error("altered counter: accepted")
	}
	b.intercept(nil, nil)
	wantEmpty(t, d)
}

// What the Name of a key does not carry, the storage key's private half does: garbage of any kind ends in an error, not in a
// panic, and the device works again afterwards.
func TestGarbageAnswers(t *testing.T) {
	t.Parallel()
	ctx := testContext(t)
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	st, _, keys := commissioned(t, d, CommissionOptions{})
	for name, spoil := range map[string]func([]byte) []byte{
		"header only": func(r []byte) []byte { return refuse(0) },
		"cut":         func(r []byte) []byte { return sized(r[:headerSize+(len(r)-headerSize)/2]) },
		"ones": func(r []byte) []byte {
			return append(r[:headerSize:headerSize], bytes.Repeat([]byte{0xff}, len(r)-headerSize)...)
		},
		"zeros":           func(r []byte) []byte { return append(r[:headerSize:headerSize], make([]byte, len(r)-headerSize)...) },
		"size too large":  func(r []byte) []byte { return append([]byte{0x80, 1, 0xff, 0xff, 0xff, 0xff}, r[6:]...) },
		"size too small":  func(r []byte) []byte { return append([]byte{0x80, 1, 0, 0, 0, 3}, r[6:]...) },
		"more than asked": func(r []byte) []byte { return sized(append(bytes.Clone(r), 1, 2, 3)) },
		"hang up":         func(r []byte) []byte { return nil },
	} {
		for _, cc := range []tpm2.TPMCC{tpm2.TPMCCReadPublic, tpm2.TPMCCStartAuthSession, tpm2.TPMCCUnseal, tpm2.TPMCCSign} {
			b.intercept(nil, func(command, response []byte) []byte {
				if code(command) == cc {
					return spoil(response)
				}
				return response
			})
			// Not all spoil both: an answer with something behind it is still an answer.
			_, unsealErr := unsealed(ctx, d, st, "")
			_, signErr := keys.SignHead(ctx, []byte("note"))
			if unsealErr == nil && signErr == nil && name != "more than asked" {
				t.Errorf("%s in answer to %v: nobody noticed", name, cc)
			}
			b.intercept(nil, nil)
			wantEmpty(t, d)
		}
	}
	if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
		t.Fatalf("afterwards: %v", err)
	}
}

// Somebody hides that sessions were started. They fill the TPM; when it is full, it is cleared.
func TestHiddenSessions(t *testing.T) {
	ctx := testContext(t)
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	_, _, keys := commissioned(t, d, CommissionOptions{})
	b.intercept(nil, func(command, response []byte) []byte {
		if code(command) == tpm2.TPMCCStartAuthSession {
			return refuse(0xffffffff)
		}
		return response
	})
	for range 4 {
		if _, err := keys.SignHead(ctx, []byte("note")); err == nil {
			t.Fatal("signed without a session")
		}
	}
	b.intercept(nil, nil)
	if _, err := keys.SignHead(ctx, []byte("note")); err != nil {
		t.Fatal(err)
	}
}

// sized writes the right size into a response's header.
func sized(r []byte) []byte {
	r = bytes.Clone(r)
	binary.BigEndian.PutUint32(r[2:], uint32(len(r)))
	return r
}

func TestLockoutIsTold(t *testing.T) {
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	st, _, _ := commissioned(t, d, CommissionOptions{})
	for rc, want := range map[tpm2.TPMRC]error{
		tpm2.TPMRCLockout:    ErrLockout,
		tpm2.TPMRCFailure:    ErrUnreachable,
		tpm2.TPMRCInitialize: ErrUnreachable,
	} {
		b.intercept(func(command []byte) []byte {
			if code(command) == tpm2.TPMCCLoad {
				return refuse(rc)
			}
			return nil
		}, nil)
		if _, err := unsealed(testContext(t), d, st, ""); !errors.Is(err, want) {
			t.Errorf("%v: got %v, want %v", rc, err, want)
		}
	}
}

// Registers that never hold still are an error after the fifth try, not a loop.
func TestPCRChangedMidwayIsGivenUp(t *testing.T) {
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	st, _, _ := commissioned(t, d, CommissionOptions{})
	var refused atomic.Int32
	b.intercept(func(command []byte) []byte {
		if code(command) != tpm2.TPMCCUnseal {
			return nil
		}
		refused.Add(1)
		return refuse(tpm2.TPMRCPCRChanged)
	}, nil)
	if _, _, err := Unseal(testContext(t), d, st, ""); !errors.Is(err, ErrPCRChanged) || refused.Load() != sequenceTries {
		t.Fatalf("got %v after %d tries, want ErrPCRChanged after %d", err, refused.Load(), sequenceTries)
	}
	b.intercept(nil, nil)
	wantEmpty(t, d)
}

// The registers moved while the policy was evaluated: a new policy session tells the outcome.
func TestPCRChangedMidwayIsTriedAgain(t *testing.T) {
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	st, _, _ := commissioned(t, d, CommissionOptions{})
	var refused atomic.Int32
	b.intercept(func(command []byte) []byte {
		if code(command) == tpm2.TPMCCUnseal && refused.Load() < 2 {
			refused.Add(1)
			return refuse(tpm2.TPMRCPCRChanged)
		}
		return nil
	}, nil)
	if _, err := unsealed(testContext(t), d, st, ""); err != nil || refused.Load() != 2 {
		t.Fatalf("%v, refused %d times", err, refused.Load())
	}
	wantEmpty(t, d)
}

func TestConnectionLostMidway(t *testing.T) {
	b := newBus(t, newChip(t))
	d := openAt(t, b.path)
	_, _, keys := commissioned(t, d, CommissionOptions{})
	var lost atomic.Bool
	b.intercept(nil, func(command, response []byte) []byte {
		if code(command) == tpm2.TPMCCSign && lost.CompareAndSwap(false, true) {
			return nil
		}
		return response
	})
	if _, err := keys.SignHead(testContext(t), []byte("note")); err != nil || !lost.Load() {
		t.Fatalf("lost %v: %v", lost.Load(), err)
	}
	wantEmpty(t, d)
}

// A lost answer to the increment: done, but reported failed. It is not done twice.
func TestAnchorAnswerLost(t *testing.T) {
	for name, tc := range map[string]struct {
		reaches bool
		raised  uint64
	}{"not done": {false, 0}, "done but reported failed": {true, 1}} {
		t.Run(name, func(t *testing.T) {
			ctx := testContext(t)
			b := newBus(t, newChip(t))
			d := openAt(t, b.path)
			_, _, keys := commissioned(t, d, CommissionOptions{})
			before, err := keys.Counter(ctx)
			if err != nil {
				t.Fatal(err)
			}
			advance(t, d, anchorEvery)
			drop := func(command, response []byte) []byte {
				if code(command) == tpm2.TPMCCNVIncrement {
					return nil
				}
				return response
			}
			if tc.reaches {
				b.intercept(nil, drop)
			} else {
				// Something that the TPM refuses goes in the command's place.
				b.intercept(func(command []byte) []byte {
					if code(command) == tpm2.TPMCCNVIncrement {
						return refuse(tpm2.TPMRCNVRange)
					}
					return nil
				}, drop)
			}
			if _, err := keys.Anchor(ctx, sha256.Sum256([]byte("note"))); err == nil || errors.Is(err, ErrAnchorTooSoon) {
				t.Fatalf("got %v: it was begun again", err)
			}
			b.intercept(nil, nil)
			after, err := keys.Counter(ctx)
			if err != nil || after != before+tc.raised {
				t.Fatalf("counter %d, %v; want %d", after, err, before+tc.raised)
			}
			// In either case the next attempt waits its hour: a crash loop does not wear the cell out.
			if _, err := keys.Anchor(ctx, [32]byte{}); !errors.Is(err, ErrAnchorTooSoon) {
				t.Fatalf("got %v, want ErrAnchorTooSoon", err)
			}
			wantEmpty(t, d)
		})
	}
}
