package tpm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/go-tpm/tpm2"
)

// The causes a caller branches on. Each says in plain words what happened and what to do next; none carries a secret.
var (
	// ErrPCRChanged: the machine booted something else than when the root key was sealed. errors.As to
	// *PCRChangedError tells which registers moved.
	ErrPCRChanged = errors.New("boot measurements changed since the root key was sealed: " +
		"after a firmware, Secure Boot or boot loader update this is expected, so unseal with two shares of the recovery kit " +
		"and the key is sealed anew; if nobody changed anything, treat the box as tampered with")

	// ErrCleared: this TPM never held the key, or has forgotten it.
	ErrCleared = errors.New("this is not the TPM that sealed the root key, or it was cleared, or something between " +
		"daemon and chip answers in its place: if the board was replaced or the TPM reset, unseal with two shares of the recovery kit; " +
		"otherwise treat the box as tampered with")

	// ErrLockout: the TPM refuses authorisations after too many failures. Nothing of ours counts towards it.
	ErrLockout = errors.New("the TPM is in dictionary-attack lockout, caused by another program's keys: " +
		"wait for its recovery time with the power on, or reset it with the lockout authorisation, then unseal again")

	// ErrOwned: another program has set the owner or endorsement authorisation of this TPM.
	ErrOwned = errors.New("another program has set an owner or endorsement authorisation in this TPM: " +
		"give its owner authorisation at set-up if you know it, have that program give the TPM up, or clear the TPM in the firmware's " +
		"menu, which makes all keys of other programs in it useless")

	// ErrSecureBoot: ModeTPM stands on Secure Boot, and it is not known to be on.
	ErrSecureBoot = errors.New("unseal mode \"tpm\" needs Secure Boot: without it whoever takes the disk and boots another " +
		"system on this board has the key; switch Secure Boot on in the firmware, or choose \"tpm+passphrase\" or \"operator\"")

	// ErrRotating: a rotation of the root key has to end, with Retire, before this.
	ErrRotating = errors.New("the root key is being rotated: have the store wrap its keyring anew and retire the former root key first")

	// ErrPassphrase: the passphrase is missing or wrong. It may be tried again; it leads to no lockout.
	ErrPassphrase = errors.New("the unseal passphrase is missing or wrong: enter it again, or use two shares of the recovery kit")

	// ErrUnreachable: no answer, or none that makes sense, in the time allowed.
	ErrUnreachable = errors.New("the TPM does not answer: check that it is enabled in the firmware, that its device exists and " +
		"that the service may open it (group tss), then unseal again; a power cycle helps a chip that hangs, and if it is broken or " +
		"gone with its board, two shares of the recovery kit open the box on another")

	// ErrClosed: the Device or the Keys was closed.
	ErrClosed = errors.New("tpm keys are closed")

	// ErrNoTPM: these Keys were recovered from shares and belong to no TPM yet; Reseal gives some that do.
	ErrNoTPM = errors.New("keys recovered from shares have no TPM to sign with: reseal them to this machine's TPM first")

	// ErrAnchorTooSoon: the counter was raised less than an hour ago. Anchoring again earlier would wear it out.
	ErrAnchorTooSoon = errors.New("the TPM counter was raised less than an hour ago: anchor again later")

	// ErrUnwrap: the bytes were wrapped by another root key, or were altered.
	ErrUnwrap = errors.New("wrapped key does not open under this root key: it belongs to another box or was altered")

	// ErrShare: an entered share of the recovery kit cannot be used. The error says which one and why.
	ErrShare = errors.New("recovery share not usable")
)

// PCRChangedError is ErrPCRChanged with the registers that moved.
type PCRChangedError struct {
	// PCRs are the indices whose SHA-256 value differs from the one at sealing, ascending. It is empty if all
	// compare equal and the TPM refused nevertheless: they moved back, or changed while the policy was evaluated.
	PCRs []int
	// Causes says for each of PCRs what the firmware's event log shows to be different, "" where it shows nothing.
	Causes []string
}

func (e *PCRChangedError) Error() string {
	if len(e.PCRs) == 0 {
		return "PCR policy refused: " + ErrPCRChanged.Error()
	}
	names := make([]string, len(e.PCRs))
	for i, n := range e.PCRs {
		names[i] = "PCR " + strconv.Itoa(n)
		if i < len(e.Causes) && e.Causes[i] != "" {
			names[i] += " (" + e.Causes[i] + ")"
		}
	}
	return strings.Join(names, ", ") + ": " + ErrPCRChanged.Error()
}

// Unwrap makes errors.Is(err, ErrPCRChanged) true.
func (e *PCRChangedError) Unwrap() error { return ErrPCRChanged }

// errLink marks a failure of the transport: the connection was dropped and with it all sessions and loaded objects,
// so a sequence can only be begun again, not continued.
var errLink = errors.New("connection to the TPM was lost")

// known reports whether err already has one of the causes a caller branches on.
func known(err error) bool {
	for _, cause := range []error{
		ErrPCRChanged, ErrCleared, ErrLockout, ErrPassphrase, ErrUnreachable, ErrClosed, ErrNoTPM, ErrAnchorTooSoon,
		ErrOwned, ErrSecureBoot, ErrRotating,
	} {
		if errors.Is(err, cause) {
			return true
		}
	}
	return false
}

// withCause adds the cause to an error of the TPM where its response code alone tells it (TPM 2.0 Part 2, section 6.6).
// BAD_AUTH, AUTH_FAIL, POLICY_FAIL and VALUE mean different things in different commands: their callers decide.
func withCause(err error) error {
	switch {
	case err == nil || known(err):
		return err
	case errors.Is(err, errLink),
		errors.Is(err, tpm2.TPMRCFailure),    // failure mode until the next reset
		errors.Is(err, tpm2.TPMRCInitialize): // reset, and nobody sent TPM2_Startup
		return fmt.Errorf("%w (%w)", ErrUnreachable, err)
	case errors.Is(err, tpm2.TPMRCPCRChanged): // at each try: the boot is not over, or somebody measures all the time
		return fmt.Errorf("%w (%w)", ErrPCRChanged, err)
	case errors.Is(err, tpm2.TPMRCLockout):
		return fmt.Errorf("%w (%w)", ErrLockout, err)
	case errors.Is(err, tpm2.TPMRCIntegrity): // a blob made under another seed
		return fmt.Errorf("%w (%w)", ErrCleared, err)
	}
	return err
}
