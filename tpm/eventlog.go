package tpm

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf16"
)

// event is one entry of the firmware's log: what was measured into which register.
type event struct {
	pcr    int
	kind   uint32
	digest [sha256.Size]byte
	data   []byte
}

// Event types (TCG PC Client Platform Firmware Profile 1.05, section 10.4.1) that we have words for.
const (
	evNoAction      = 0x03
	evSeparator     = 0x04
	evIPL           = 0x0d
	evCRTMContents  = 0x07
	evCRTMVersion   = 0x08
	evMicrocode     = 0x09
	evVariable      = 0x80000001 // EV_EFI_VARIABLE_DRIVER_CONFIG
	evBootVariable  = 0x80000002
	evApplication   = 0x80000003
	evBootDriver    = 0x80000004
	evRuntimeDriver = 0x80000005
	evGPT           = 0x80000006
	evAction        = 0x80000007
	evFirmwareBlob  = 0x80000008
	evFirmwareBlob2 = 0x8000000a
	evBootVariable2 = 0x8000000c
	evAuthority     = 0x800000e0
)

// Bounds of a log: the kernel's copy is 64 KB to a few hundred on real machines.
const (
	maxLog       = 4 << 20
	maxEvents    = 10_000
	maxAlgs      = 16
	algSHA256    = 0x000b
	startupEvent = "StartupLocality\x00"
)

var errLog = errors.New("malformed event log")

// reader takes a log apart; after the first byte that is missing bad stays set.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.rest) {
		r.bad, r.rest = true, nil
		return make([]byte, min(max(n, 0), 8))
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

func (r *reader) u16() int    { return int(binary.LittleEndian.Uint16(r.take(2))) }
func (r *reader) u32() uint32 { return binary.LittleEndian.Uint32(r.take(4)) }

// bytes takes a field whose length stands before it in four bytes.
func (r *reader) bytes() []byte {
	n := r.u32()
	if n > maxLog {
		r.bad = true
		return nil
	}
	return r.take(int(n))
}

// parseLog reads a crypto-agile log (TCG_PCR_EVENT2 after a Spec ID event) and keeps the digests of the SHA-256 bank.
func parseLog(data []byte) ([]event, error) {
	if len(data) > maxLog {
		return nil, fmt.Errorf("%w: too large", errLog)
	}
	r := &reader{rest: data}
	sizes, err := r.specID()
	if err != nil {
		return nil, err
	}
	var events []event
	for len(r.rest) > 0 {
		var e event
		pcr := r.u32()
		e.kind = r.u32()
		count := r.u32()
		if count > maxAlgs || len(events) == maxEvents {
			return nil, errLog
		}
		if pcr == 0xffffffff && e.kind == 0 && count == 0 { // what is behind the end in some kernels' copies
			break
		}
		found := false
		for range count {
			alg := r.u16()
			size, known := sizes[alg]
			if !known {
				return nil, errLog
			}
			if digest := r.take(size); alg == algSHA256 && !r.bad {
				copy(e.digest[:], digest)
				found = true
			}
		}
		e.data = r.bytes()
		if r.bad || !found || pcr > lastPCR {
			return nil, errLog
		}
		e.pcr = int(pcr)
		events = append(events, e)
	}
	return events, nil
}

// specID reads the first event, which has the old form (TCG_PCR_EVENT with SHA-1) and tells the digests' sizes.
func (r *reader) specID() (map[int]int, error) {
	r.take(4)
	kind := r.u32()
	r.take(20)
	body := &reader{rest: r.bytes()}
	if r.bad || kind != evNoAction || !bytes.Equal(body.take(16), []byte("Spec ID Event03\x00")) {
		return nil, fmt.Errorf("%w: it is not crypto-agile", errLog)
	}
	body.take(8) // platform class, version, size of an integer
	n := body.u32()
	if n > maxAlgs {
		return nil, errLog
	}
	sizes := map[int]int{}
	for range n {
		alg := body.u16()
		sizes[alg] = body.u16()
	}
	if body.bad || sizes[algSHA256] != sha256.Size {
		return nil, fmt.Errorf("%w: it has no SHA-256 digests", errLog)
	}
	return sizes, nil
}

// replay reckons the value that the events give a register: each extends it (TPM 2.0 Part 1, section 17.2).
func replay(events []event, pcr int) []byte {
	value := make([]byte, sha256.Size)
	for _, e := range events {
		switch {
		case e.pcr != pcr:
		case e.kind == evNoAction:
			// The locality of the start is the first value of PCR 0 (section 10.4.5.3).
			if pcr == 0 && bytes.HasPrefix(e.data, []byte(startupEvent)) && len(e.data) == len(startupEvent)+1 {
				value[sha256.Size-1] = e.data[len(startupEvent)]
			}
		default:
			sum := sha256.Sum256(append(value, e.digest[:]...))
			value = sum[:]
		}
	}
	return value
}

// maxLabel bounds a label that is made from a log.
const maxLabel = 40

// label names what was measured, so that the same thing has the same name after a change: "db", "dbx", "separator".
func (e event) label() string {
	switch e.kind {
	case evVariable, evBootVariable, evBootVariable2, evAuthority:
		name := variableName(e.data)
		if e.kind == evAuthority {
			return "authority " + name
		}
		return name
	}
	return fmt.Sprintf("event %#x", e.kind)
}

// variableName reads UEFI_VARIABLE_DATA: GUID (16), lengths of name (8, in UTF-16 units) and of data (8), name, data.
func variableName(data []byte) string {
	r := &reader{rest: data}
	r.take(16)
	units := binary.LittleEndian.Uint64(r.take(8))
	r.take(8)
	if r.bad || units > maxLabel {
		return "variable"
	}
	raw := r.take(int(units) * 2)
	if r.bad {
		return "variable"
	}
	name := make([]uint16, units)
	for i := range name {
		name[i] = binary.LittleEndian.Uint16(raw[2*i:])
	}
	for _, c := range name {
		if c < '!' || c > '~' {
			return "variable"
		}
	}
	return string(utf16.Decode(name))
}
