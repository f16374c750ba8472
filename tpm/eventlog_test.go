package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-tpm/tpm2"
)

// variable is UEFI_VARIABLE_DATA.
func variable(name string, content ...byte) []byte {
	units := utf16.Encode([]rune(name))
	data := make([]byte, 16)
	data = binary.LittleEndian.AppendUint64(data, uint64(len(units)))
	data = binary.LittleEndian.AppendUint64(data, uint64(len(content)))
	for _, u := range units {
		data = binary.LittleEndian.AppendUint16(data, u)
	}
	return append(data, content...)
}

// secureBootEvents is what a PC with shim measures into PCR 7.
func secureBootEvents() []event {
	events := []event{
		{pcr: 7, kind: evVariable, data: variable("SecureBoot", 1)},
		{pcr: 7, kind: evVariable, data: variable("PK", 1, 2)},
		{pcr: 7, kind: evVariable, data: variable("KEK", 3, 4)},
		{pcr: 7, kind: evVariable, data: variable("db", 5, 6)},
		{pcr: 7, kind: evVariable, data: variable("dbx", 7, 8)},
		{pcr: 7, kind: evSeparator, data: make([]byte, 4)},
		{pcr: 7, kind: evAuthority, data: variable("db", 9)},
		{pcr: 7, kind: evAuthority, data: variable("MokListRT", 10)},
	}
	for i := range events {
		events[i].digest = sha256.Sum256(events[i].data)
	}
	return events
}

// encodeLog writes a log with a SHA-1 and a SHA-256 bank.
func encodeLog(events []event) []byte {
	spec := append([]byte("Spec ID Event03\x00"), 0, 0, 0, 0, 0, 2, 0, 2)
	spec = binary.LittleEndian.AppendUint32(spec, 2)
	spec = append(spec, 4, 0, 20, 0, 0x0b, 0, 32, 0, 0)
	log := binary.LittleEndian.AppendUint32(nil, 0)
	log = binary.LittleEndian.AppendUint32(log, evNoAction)
	log = append(log, make([]byte, 20)...)
	log = binary.LittleEndian.AppendUint32(log, uint32(len(spec)))
	log = append(log, spec...)
	for _, e := range events {
		log = binary.LittleEndian.AppendUint32(log, uint32(e.pcr))
		log = binary.LittleEndian.AppendUint32(log, e.kind)
		log = binary.LittleEndian.AppendUint32(log, 2)
		log = append(log, 4, 0)
		log = append(log, make([]byte, 20)...)
		log = append(log, 0x0b, 0)
		log = append(log, e.digest[:]...)
		log = binary.LittleEndian.AppendUint32(log, uint32(len(e.data)))
		log = append(log, e.data...)
	}
	return log
}

func setLog(t testing.TB, sysfs string, log []byte) {
	t.Helper()
	path := filepath.Join(sysfs, eventLog)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, log, 0o600); err != nil {
		t.Fatal(err)
	}
}

// boot is a start at which the firmware measures events and writes its log.
func (c *chip) boot(t testing.TB, sysfs string, events []event) *Device {
	t.Helper()
	c.restart()
	d, err := OpenDevice(c.sock, sysfs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	for _, e := range events {
		run(t, d, func(s *sequence) (*tpm2.PCRExtendResponse, error) {
			return tpm2.PCRExtend{
				PCRHandle: tpm2.AuthHandle{Handle: tpm2.TPMHandle(e.pcr), Auth: emptyAuth},
				Digests:   tpm2.TPMLDigestValues{Digests: []tpm2.TPMTHA{{HashAlg: tpm2.TPMAlgSHA256, Digest: e.digest[:]}}},
			}.Execute(s)
		})
	}
	setLog(t, sysfs, encodeLog(events))
	return d
}

// The message names what a person did to the machine, where the firmware's log tells.
func TestPCRChangeNamesItsCause(t *testing.T) {
	ctx := testContext(t)
	c := newChip(t)
	dir := sysfs(t, 1)
	st, _, _ := commissioned(t, c.boot(t, dir, secureBootEvents()), CommissionOptions{})
	if len(st.Seal.Events) != len(secureBootEvents()) {
		t.Fatalf("%d events kept", len(st.Seal.Events))
	}
	changed := func(i int, data []byte) []event {
		events := secureBootEvents()
		events[i].data, events[i].digest = data, sha256.Sum256(data)
		return events
	}
	for name, tc := range map[string]struct {
		events []event
		says   string
	}{
		"dbx update":   {changed(4, variable("dbx", 7, 8, 9)), "PCR 7 (the Secure Boot dbx changed):"},
		"db update":    {changed(3, variable("db", 5, 6, 0xcc)), "PCR 7 (the Secure Boot db changed):"},
		"switched off": {changed(0, variable("SecureBoot", 0)), "PCR 7 (Secure Boot was switched on or off):"},
		"other signer": {changed(6, variable("db", 99)), "PCR 7 (the boot loader is accepted by another entry of db):"},
		"two things": {slices.Concat(changed(2, variable("KEK", 1))[:3], changed(3, variable("db", 2))[3:]),
			"PCR 7 (the Secure Boot KEK changed; the Secure Boot db changed):"},
		"shim is gone": {secureBootEvents()[:7], "PCR 7 (the boot loader is accepted by another entry of MokListRT):"},
	} {
		_, _, err := Unseal(ctx, c.boot(t, dir, tc.events), st, "")
		if !errors.Is(err, ErrPCRChanged) || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: got %v, want %q", name, err, tc.says)
		}
	}
	// A measurement that the log does not hold, then no log at all.
	d := c.boot(t, dir, secureBootEvents())
	extend(t, d, 7)
	if _, _, err := Unseal(ctx, d, st, ""); !errors.Is(err, ErrPCRChanged) || !strings.Contains(err.Error(), "PCR 7 (the firmware's log shows no difference") {
		t.Errorf("measured behind the log's back: %v", err)
	}
	setLog(t, dir, []byte("garbage"))
	if _, _, err := Unseal(ctx, d, st, ""); !errors.Is(err, ErrPCRChanged) || !strings.Contains(err.Error(), "PCR 7: boot") {
		t.Errorf("without a log: %v", err)
	}
	if _, err := unsealed(ctx, c.boot(t, dir, secureBootEvents()), st, ""); err != nil {
		t.Errorf("after a boot as before: %v", err)
	}
}

// A log that does not account for the register's value is not believed at sealing.
func TestLogThatDoesNotReplay(t *testing.T) {
	c := newChip(t)
	dir := sysfs(t, 1)
	d := c.boot(t, dir, secureBootEvents())
	setLog(t, dir, encodeLog(secureBootEvents()[1:]))
	st, _, _ := commissioned(t, d, CommissionOptions{})
	if len(st.Seal.Events) != 0 {
		t.Fatalf("%d events kept of a log that is not of this boot", len(st.Seal.Events))
	}
}

func TestParseLog(t *testing.T) {
	events := append(secureBootEvents(), event{pcr: 0, kind: evNoAction, data: []byte(startupEvent + "\x03")})
	log := encodeLog(events)
	got, err := parseLog(log)
	if err != nil || len(got) != len(events) {
		t.Fatalf("%d events, %v", len(got), err)
	}
	if value := replay(got, 0); value[31] != 3 || !bytes.Equal(value[:31], make([]byte, 31)) {
		t.Errorf("startup locality: %x", value)
	}
	// Cut anywhere but between two events it is refused; then it is short, and does not replay.
	for n := range log {
		if cut, err := parseLog(log[:n]); err == nil && len(cut) >= len(events) {
			t.Errorf("cut to %d bytes: all events", n)
		}
	}
	if _, err := parseLog(append(bytes.Clone(log), 0)); err == nil {
		t.Error("a byte more: accepted")
	}
	if got, err := parseLog(append(bytes.Clone(log), "\xff\xff\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00rest"...)); err != nil || len(got) != len(events) {
		t.Errorf("with an end mark: %d events, %v", len(got), err)
	}
	if _, err := parseLog(make([]byte, maxLog+1)); err == nil {
		t.Error("too large: accepted")
	}
}

func FuzzParseLog(f *testing.F) {
	f.Add(encodeLog(secureBootEvents()))
	f.Add(encodeLog(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		events, err := parseLog(data)
		if err != nil {
			return
		}
		for _, e := range events {
			if e.pcr < 0 || e.pcr > lastPCR {
				t.Fatal("a register that does not exist")
			}
			words := inWords(EventState{Kind: e.kind, Label: e.label()})
			if len(words) > 200 || strings.ContainsFunc(words, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Fatalf("what the log says goes into the message: %q", words)
			}
			replay(events[:1], e.pcr)
		}
	})
}
