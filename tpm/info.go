package tpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-tpm/tpm2"
)

// Info is what a TPM says of itself, for the health page. Nobody vouches for it.
type Info struct {
	// Manufacturer is the TCG vendor id ("IFX", "NTC", "INTC", "STM", "AMD", "IBM" for swtpm), Model its own words.
	Manufacturer, Model string
	// Firmware is the version as four numbers, Revision that of the TPM library specification ("1.59").
	Firmware, Revision string

	// InLockout: authorisations with dictionary-attack protection are refused. Nothing of ours has that.
	InLockout bool
	// LockoutCounter is the number of failures, MaxTries where lockout begins; one is forgiven each LockoutInterval of power.
	LockoutCounter, MaxTries uint32
	LockoutInterval          time.Duration

	// OwnerAuthSet, EndorsementAuthSet and LockoutAuthSet tell whether those authorisation values are not empty.
	OwnerAuthSet, EndorsementAuthSet, LockoutAuthSet bool

	// Clock is time under power; ResetCount and RestartCount grow with each start and each wake-up.
	Clock                    time.Duration
	ResetCount, RestartCount uint32
	// ClockSafe is false when the clock may have gone back after a power cut.
	ClockSafe bool
}

// Info asks the TPM for it.
func (d *Device) Info(ctx context.Context) (Info, error) {
	info, err := do(ctx, d, func(s *sequence) (Info, error) {
		fixed, err := s.properties(uint32(tpm2.TPMPTFamilyIndicator), 32)
		if err != nil {
			return Info{}, err
		}
		is, err := s.permanent()
		if err != nil {
			return Info{}, err
		}
		now, err := s.timeInfo()
		if err != nil {
			return Info{}, err
		}
		model := letters(fixed[tpm2.TPMPTVendorString1], fixed[tpm2.TPMPTVendorString2], fixed[tpm2.TPMPTVendorString3], fixed[tpm2.TPMPTVendorString4])
		high, low := fixed[tpm2.TPMPTFirmwareVersion1], fixed[tpm2.TPMPTFirmwareVersion2]
		revision := fixed[tpm2.TPMPTRevision]
		return Info{
			Manufacturer:       letters(fixed[tpm2.TPMPTManufacturer]),
			Model:              model,
			Firmware:           fmt.Sprintf("%d.%d.%d.%d", high>>16, high&0xffff, low>>16, low&0xffff),
			Revision:           fmt.Sprintf("%d.%02d", revision/100, revision%100),
			InLockout:          is.inLockout,
			LockoutCounter:     is.lockoutCounter,
			MaxTries:           is.maxTries,
			LockoutInterval:    is.lockoutInterval,
			OwnerAuthSet:       is.ownerAuthSet,
			EndorsementAuthSet: is.endorsementAuthSet,
			LockoutAuthSet:     is.lockoutAuthSet,
			Clock:              time.Duration(now.Clock) * time.Millisecond,
			ResetCount:         now.ResetCount,
			RestartCount:       now.RestartCount,
			ClockSafe:          bool(now.Safe),
		}, nil
	})
	if err != nil {
		return Info{}, fmt.Errorf("read tpm info: %w", err)
	}
	return info, nil
}

// letters reads the text that properties carry, four bytes each, and keeps what prints.
func letters(values ...uint32) string {
	var b []byte
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, v)
	}
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b)))
}

// permanent is TPMA_PERMANENT and the lockout parameters (TPM 2.0 Part 2, sections 8.6 and 6.13).
type permanent struct {
	ownerAuthSet, endorsementAuthSet, lockoutAuthSet, inLockout bool
	lockoutCounter, maxTries                                    uint32
	lockoutInterval                                             time.Duration
}

func (s *sequence) permanent() (permanent, error) {
	p, err := s.properties(uint32(tpm2.TPMPTPermanent), 32)
	if err != nil {
		return permanent{}, err
	}
	bits, ok := p[tpm2.TPMPTPermanent]
	if !ok {
		return permanent{}, errors.New("read tpm properties: the TPM does not state its permanent attributes")
	}
	return permanent{
		ownerAuthSet: bits&1 != 0, endorsementAuthSet: bits&2 != 0, lockoutAuthSet: bits&4 != 0, inLockout: bits&(1<<9) != 0,
		lockoutCounter: p[tpm2.TPMPTLockoutCounter], maxTries: p[tpm2.TPMPTMaxAuthFail],
		lockoutInterval: time.Duration(p[tpm2.TPMPTLockoutInterval]) * time.Second,
	}, nil
}

// properties reads up to n properties from first on.
func (s *sequence) properties(first, n uint32) (map[tpm2.TPMPT]uint32, error) {
	rsp, err := tpm2.GetCapability{Capability: tpm2.TPMCapTPMProperties, Property: first, PropertyCount: n}.Execute(s)
	if err != nil {
		return nil, fmt.Errorf("read tpm properties: %w", err)
	}
	list, err := rsp.CapabilityData.Data.TPMProperties()
	if err != nil {
		return nil, fmt.Errorf("read tpm properties: %w", err)
	}
	p := map[tpm2.TPMPT]uint32{}
	for _, entry := range list.TPMProperty {
		p[entry.Property] = entry.Value
	}
	return p, nil
}

// timeInfo is the TPM's own clock and its counts of resets and restarts.
func (s *sequence) timeInfo() (tpm2.TPMSClockInfo, error) {
	rsp, err := tpm2.ReadClock{}.Execute(s)
	if err != nil {
		return tpm2.TPMSClockInfo{}, fmt.Errorf("read tpm clock: %w", err)
	}
	return rsp.CurrentTime.ClockInfo, nil
}

// Where chips carry the certificates of their endorsement keys (TCG EK Credential Profile, section 2.2.1.4).
var ekIndices = []uint32{0x01C00002, 0x01C0000A} // RSA 2048, ECC P-256

// maxCertificate bounds what is read of an index.
const maxCertificate = 1 << 13

// EndorsementCertificates are the certificates that the chip's maker put into it, as ASN.1 DER, RSA before ECC: for the
// commissioning record, to show later which chip it was. Many firmware TPMs and swtpm carry none. They are not verified here.
func (d *Device) EndorsementCertificates(ctx context.Context) ([][]byte, error) {
	certs, err := do(ctx, d, func(s *sequence) ([][]byte, error) {
		var certs [][]byte
		for _, index := range ekIndices {
			cert, err := s.readCertificate(tpm2.TPMHandle(index))
			if err != nil {
				return nil, err
			}
			if cert != nil {
				certs = append(certs, cert)
			}
		}
		return certs, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read endorsement certificates: %w", err)
	}
	return certs, nil
}

// readCertificate reads an index that anybody may read with the empty value. nil, nil: there is none, or none that reads.
func (s *sequence) readCertificate(index tpm2.TPMHandle) ([]byte, error) {
	rsp, err := tpm2.NVReadPublic{NVIndex: index}.Execute(s)
	if errors.Is(err, tpm2.TPMRCHandle) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	public, err := rsp.NVPublic.Contents()
	if err != nil {
		return nil, err
	}
	if !public.Attributes.AuthRead || !public.Attributes.Written || public.DataSize > maxCertificate {
		return nil, nil
	}
	p, err := s.properties(uint32(tpm2.TPMPTNVBufferMax), 1)
	if err != nil {
		return nil, err
	}
	chunk := min(max(p[tpm2.TPMPTNVBufferMax], 64), 1024)
	var data []byte
	for left := uint32(public.DataSize); left > 0; {
		n := min(left, chunk)
		part, err := tpm2.NVRead{
			AuthHandle: tpm2.AuthHandle{Handle: index, Name: rsp.NVName, Auth: tpm2.PasswordAuth(nil)},
			NVIndex:    tpm2.NamedHandle{Handle: index, Name: rsp.NVName},
			Size:       uint16(n), Offset: uint16(len(data)),
		}.Execute(s)
		if err != nil {
			return nil, err
		}
		if uint32(len(part.Data.Buffer)) != n {
			return nil, errors.New("certificate is cut short")
		}
		data = append(data, part.Data.Buffer...)
		left -= n
	}
	return trimCertificate(data), nil
}

// trimCertificate cuts the padding that makers put behind a certificate; nil if there is none before it. Whether it parses
// is for the reader to find out: makers' certificates break rules that crypto/x509 holds to.
func trimCertificate(data []byte) []byte {
	if len(data) < 4 || !bytes.HasPrefix(data, []byte{0x30, 0x82}) { // SEQUENCE with a length of two bytes
		return nil
	}
	size := 4 + int(binary.BigEndian.Uint16(data[2:]))
	if size > len(data) {
		return nil
	}
	return data[:size]
}
