package tpm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/google/go-tpm/tpm2"
)

// defaultPCRs is the Secure Boot policy and what it let through. PCR 0 to 6 move with each firmware update or setting.
var defaultPCRs = []int{7}

// lastPCR is the last static register of the PC Client profile.
const lastPCR = 23

func checkPCRs(pcrs []int) error {
	if len(pcrs) == 0 {
		return errors.New("no PCR chosen")
	}
	for i, n := range pcrs {
		if n < 0 || n > lastPCR || i > 0 && n <= pcrs[i-1] {
			return fmt.Errorf("PCR list must ascend within 0 to %d, each once", lastPCR)
		}
	}
	return nil
}

func pcrIndices(pcrs []PCRState) []int {
	var indices []int
	for _, p := range pcrs {
		indices = append(indices, p.Index)
	}
	return indices
}

func pcrSelection(indices ...int) tpm2.TPMLPCRSelection {
	bits := make([]uint, len(indices))
	for i, n := range indices {
		bits[i] = uint(n)
	}
	return tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{
		Hash:      tpm2.TPMAlgSHA256,
		PCRSelect: tpm2.PCClientCompatible.PCRs(bits...),
	}}}
}

// readPCRs reads registers of the SHA-256 bank, one a command because a TPM answers at most eight at once. An audit
// session, whose HMAC covers the answer, keeps somebody on the wires from having the key sealed to values of his own.
func (s *sequence) readPCRs(srk parent, indices []int) ([]PCRState, error) {
	sess, end, err := s.session(srk, encryptNone, nil, tpm2.Audit())
	if err != nil {
		return nil, err
	}
	defer end()
	var pcrs []PCRState
	for _, n := range indices {
		rsp, err := tpm2.PCRRead{PCRSelectionIn: pcrSelection(n)}.Execute(s, sess)
		if err != nil {
			return nil, fmt.Errorf("read PCR %d: %w", n, err)
		}
		if len(rsp.PCRValues.Digests) != 1 || len(rsp.PCRValues.Digests[0].Buffer) != sha256.Size {
			return nil, fmt.Errorf("read PCR %d: the TPM has no SHA-256 bank, switch it on in the firmware", n)
		}
		pcrs = append(pcrs, PCRState{Index: n, Value: rsp.PCRValues.Digests[0].Buffer})
	}
	return pcrs, nil
}

// pcrDigest is what PolicyPCR binds to: the digest of all values in ascending order of their registers.
func pcrDigest(pcrs []PCRState) []byte {
	h := sha256.New()
	for _, p := range pcrs {
		h.Write(p.Value)
	}
	return h.Sum(nil)
}

// changedPCRs lists what differs now from the values at sealing.
func (s *sequence) changedPCRs(srk parent, sealed []PCRState) ([]int, error) {
	now, err := s.readPCRs(srk, pcrIndices(sealed))
	if err != nil {
		return nil, err
	}
	var moved []int
	for i := range sealed {
		if !bytes.Equal(now[i].Value, sealed[i].Value) {
			moved = append(moved, sealed[i].Index)
		}
	}
	slices.Sort(moved)
	return moved, nil
}
