package tpm

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/go-tpm/tpm2"
)

// Commands that go-tpm v0.9.8 lacks, written by hand (TPM 2.0 Part 3).

// header writes tag, size and command code before body.
func header(tag uint16, cc tpm2.TPMCC, body []byte) []byte {
	cmd := binary.BigEndian.AppendUint16(nil, tag)
	cmd = binary.BigEndian.AppendUint32(cmd, uint32(headerSize+len(body)))
	cmd = binary.BigEndian.AppendUint32(cmd, uint32(cc))
	return append(cmd, body...)
}

const (
	tagNoSessions = 0x8001
	tagSessions   = 0x8002
)

// raw sends a command and returns what follows its response's header.
func (s *sequence) raw(cmd []byte) ([]byte, error) {
	rsp, err := s.Send(cmd)
	if err != nil {
		return nil, err
	}
	if len(rsp) < headerSize {
		return nil, errors.New("response is cut short")
	}
	if rc := tpm2.TPMRC(binary.BigEndian.Uint32(rsp[6:])); rc != tpm2.TPMRCSuccess {
		return nil, rc
	}
	return rsp[headerSize:], nil
}

// resetPolicy is TPM2_PolicyCounterTimer over the reset count (section 23.9): the policy holds up to the reset count until.
// The TPM compares bytes of its TPMS_TIME_INFO: time (8), clock (8), resetCount (4), ...
func resetPolicy(until uint32) (operand []byte, offset, operation uint16) {
	const atResetCount, unsignedLessOrEqual = 16, 9 // TPM_EO_UNSIGNED_LE
	return binary.BigEndian.AppendUint32(nil, until), atResetCount, unsignedLessOrEqual
}

// policyResets applies resetPolicy in a policy session.
func (s *sequence) policyResets(session tpm2.TPMHandle, until uint32) error {
	operand, offset, operation := resetPolicy(until)
	body := binary.BigEndian.AppendUint32(nil, uint32(session))
	body = binary.BigEndian.AppendUint16(body, uint16(len(operand)))
	body = append(body, operand...)
	body = binary.BigEndian.AppendUint16(body, offset)
	body = binary.BigEndian.AppendUint16(body, operation)
	_, err := s.raw(header(tagNoSessions, tpm2.TPMCCPolicyCounterTimer, body))
	return err
}

// reckonResets is what policyResets does to the policy's digest.
func reckonResets(policy *tpm2.PolicyCalculator, until uint32) error {
	operand, offset, operation := resetPolicy(until)
	args := binary.BigEndian.AppendUint16(operand, offset)
	args = binary.BigEndian.AppendUint16(args, operation)
	return policy.Update(tpm2.TPMCCPolicyCounterTimer, sha256.Sum256(args))
}

// resetLockout is TPM2_DictionaryAttackLockReset (section 25.2) in a salted session: as a password the value would cross
// the bus in clear.
func (s *sequence) resetLockout(srk parent, auth []byte) error {
	sess, end, err := s.session(srk, encryptNone, auth)
	if err != nil {
		return err
	}
	defer end()
	s.noResend = true
	defer func() { s.noResend = false }()
	if err := sess.NewNonceCaller(); err != nil {
		return err
	}
	const cc = tpm2.TPMCCDictionaryAttackLockReset
	names := []tpm2.TPM2BName{tpm2.HandleName(tpm2.TPMRHLockout)}
	area, err := sess.Authorize(cc, nil, nil, names, 0)
	if err != nil {
		return err
	}
	authorisation := tpm2.Marshal(area)
	body := binary.BigEndian.AppendUint32(nil, uint32(tpm2.TPMRHLockout))
	body = binary.BigEndian.AppendUint32(body, uint32(len(authorisation)))
	rest, err := s.raw(header(tagSessions, cc, append(body, authorisation...)))
	if err != nil {
		return owned(err)
	}
	if len(rest) < 4 || binary.BigEndian.Uint32(rest) != 0 {
		return errors.New("response has parameters where none belong")
	}
	answer, err := tpm2.Unmarshal[tpm2.TPMSAuthResponse](rest[4:])
	if err != nil {
		return fmt.Errorf("read response: %w", err)
	}
	return sess.Validate(tpm2.TPMRCSuccess, cc, nil, names, 0, answer)
}
