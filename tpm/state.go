package tpm

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"time"
)

// stateVersion is raised when an older program could no longer read what a newer one writes. Version 1 was never released.
const stateVersion = 2

// maxState bounds the file: a state is about 6 KB, and four times that with a long event log.
const maxState = 1 << 17

// Mode says what it takes to open the root key at a start.
type Mode string

const (
	// ModeTPM opens by itself on this machine in its present boot state (PolicyPCR). It does not protect a stolen
	// running box, and is no use where Secure Boot is off.
	ModeTPM Mode = "tpm"
	// ModeTPMPassphrase needs the same, and a passphrase (PolicyPCR and PolicyAuthValue).
	ModeTPMPassphrase Mode = "tpm+passphrase"
	// ModeOperator needs this machine's TPM and a passphrase, whatever was booted (PolicyAuthValue): for boxes whose
	// measurements never hold still.
	ModeOperator Mode = "operator"
)

// passphrase tells whether the mode asks for one.
func (m Mode) passphrase() bool { return m == ModeTPMPassphrase || m == ModeOperator }

// pcrs tells whether the mode binds to boot measurements.
func (m Mode) pcrs() bool { return m == ModeTPM || m == ModeTPMPassphrase }

// State is what must be kept, outside the TPM and outside the encrypted store, to open the root key again: names,
// public keys and blobs that are of no use without the TPM or two shares. Nothing in it is secret, but who can
// change it can pin a false TPM. Blobs are in TPM wire format (TPM 2.0 Part 2).
type State struct {
	Version int    `json:"version"`
	BoxID   string `json:"box_id"`
	Mode    Mode   `json:"mode"`

	SRK     SRKState     `json:"srk"`
	Seal    SealState    `json:"seal"`
	AK      AKState      `json:"ak"`
	Counter CounterState `json:"counter"`
	Kit     KitState     `json:"kit"`

	// Commitment is derived from the root key: whatever opens must give the same. It betrays nothing of the key.
	Commitment Hex `json:"commitment"`
	// Auths is the seed of the authorisation values (signing key, counter, owner, lockout), encrypted under the root key.
	Auths []byte `json:"auths"`
	// Foreign says which authorisations of the TPM another program had set before us.
	Foreign ForeignState `json:"foreign"`
	// Suspension opens the root key for one boot, whatever is measured. See Suspend.
	Suspension *SuspensionState `json:"suspension,omitempty"`
	// OldRoot is the root key before the last rotation, encrypted under the present one, until Retire. See RotateRoot.
	OldRoot []byte `json:"old_root,omitempty"`
	// Signers are those of the TPMs before this one, oldest first.
	Signers []SignerState `json:"signers,omitempty"`
	// LastDrill is the last recovery drill that passed; nil if there was none with this kit.
	LastDrill *DrillState `json:"last_drill,omitempty"`
}

// ForeignState tells what we leave alone because it was not ours to begin with.
type ForeignState struct {
	Owner   bool `json:"owner,omitempty"`
	Lockout bool `json:"lockout,omitempty"`
}

// SuspensionState is the root key sealed a second time, without boot measurements but for a number of TPM resets.
type SuspensionState struct {
	// Private and Public are as in SealState.
	Private []byte `json:"private"`
	Public  []byte `json:"public"`
	// Since and Until are TPM reset counts: the one when it was made, and the last one at which the TPM opens it.
	Since uint32 `json:"since"`
	Until uint32 `json:"until"`
}

// SignerState is a signing key that is no longer in use. Heads and anchors up to its replacement verify against it.
type SignerState struct {
	// PublicKey is PKIX, ASN.1 DER; Fingerprint its SHA-256.
	PublicKey   []byte `json:"public_key"`
	Fingerprint Hex    `json:"fingerprint"`
	// ReplacedAt is by the box's clock, to the second, in UTC.
	ReplacedAt time.Time `json:"replaced_at"`
}

// DrillState says when a drill was and who of the kit's holders came, by the numbers of their shares.
type DrillState struct {
	At     time.Time `json:"at"`
	Shares []int     `json:"shares"`
}

// SRKState pins the storage root key, the parent of what is sealed and the end to which sessions are salted.
type SRKState struct {
	// Handle is the persistent handle.
	Handle uint32 `json:"handle"`
	// Template says where the key comes from: "found" (it was there, made by another program) or "l-ecc" (ours, the
	// TCG's low-range P-256 template with a unique field of zeros; two ECC templates are in use and give different keys).
	Template string `json:"template"`
	// Name is the key's TPM Name: algorithm and digest of its public area.
	Name Hex `json:"name"`
	// Public is its TPMT_PUBLIC.
	Public []byte `json:"public"`
}

// pinned tells whether there is anything to compare with: not so while commissioning.
func (st SRKState) pinned() bool { return len(st.Name) != 0 }

// SealState is the sealed root key.
type SealState struct {
	// Private and Public are TPM2B_PRIVATE's buffer and the TPMT_PUBLIC of the sealed object.
	Private []byte `json:"private"`
	Public  []byte `json:"public"`
	// PCRs are the SHA-256 registers it is bound to with their values then; none in ModeOperator.
	PCRs []PCRState `json:"pcrs,omitempty"`
	// Events are what the firmware's log said to have made those values, where it could be read: to name causes later.
	Events []EventState `json:"events,omitempty"`
	// Salt and Iterations stretch the passphrase (PBKDF2-HMAC-SHA-256); none in ModeTPM.
	Salt       []byte `json:"salt,omitempty"`
	Iterations int    `json:"iterations,omitempty"`
}

// PCRState is one platform configuration register of the SHA-256 bank.
type PCRState struct {
	Index int `json:"index"`
	Value Hex `json:"value"`
}

// AKState is the restricted P-256 key that signs heads and anchors, as a child of a P-256 primary of the endorsement
// hierarchy: under the owner hierarchy the TPM would obfuscate the reset count in what it attests.
type AKState struct {
	Private []byte `json:"private"`
	Public  []byte `json:"public"`
}

// CounterState names the two NV indices: a counter, and the TPM clock at its last increment, which keeps the
// increments an hour apart whatever becomes of the daemon and its files.
type CounterState struct {
	Index uint32 `json:"index"`
	Clock uint32 `json:"clock"`
}

// KitState is the public part of the recovery kit: the root key wrapped to each pair of shares.
type KitState struct {
	// ID tells the shares of this kit from those of an older one.
	ID    Hex         `json:"id"`
	Pairs []PairState `json:"pairs"`
}

// PairState is the root key for one pair of shares.
type PairState struct {
	// Shares are their numbers, 1 to 3, ascending.
	Shares [2]int `json:"shares"`
	// PublicKey is the pair's HPKE key, a P-256 point; with it a new root key can be wrapped without the shares.
	PublicKey []byte `json:"public_key"`
	// WrappedRoot is the HPKE encapsulated key and ciphertext.
	WrappedRoot []byte `json:"wrapped_root"`
}

// Hex is bytes that people compare, so JSON shows them in hexadecimal.
type Hex []byte

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return errors.New("not hexadecimal")
	}
	*h = b
	return nil
}

// Equal tells whether two states are the same, so that there is nothing to save.
func (st State) Equal(other State) bool { return reflect.DeepEqual(st, other) }

// LoadState reads the file that SaveState wrote. A box that was never set up gives os.ErrNotExist.
func LoadState(path string) (State, error) {
	f, err := os.Open(path)
	if err != nil {
		return State{}, fmt.Errorf("open tpm state: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return State{}, fmt.Errorf("read tpm state: %w", err)
	}
	return parseState(data)
}

func parseState(data []byte) (State, error) {
	if len(data) > maxState {
		return State{}, errors.New("read tpm state: file is too large")
	}
	// The version first: a newer file may have keys that this program does not know.
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(data, &v); err != nil {
		return State{}, fmt.Errorf("read tpm state: %w", err)
	}
	if v.Version != stateVersion {
		return State{}, fmt.Errorf("read tpm state: version %d, this program knows %d", v.Version, stateVersion)
	}
	var st State
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&st); err != nil {
		return State{}, fmt.Errorf("read tpm state: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return State{}, errors.New("read tpm state: something follows its end")
	}
	if err := st.check(); err != nil {
		return State{}, fmt.Errorf("read tpm state: %w", err)
	}
	return st, nil
}

// check finds what is missing; that blobs are genuine only the TPM can tell.
func (st State) check() error {
	switch st.Mode {
	case ModeTPM, ModeTPMPassphrase, ModeOperator:
	default:
		return fmt.Errorf("mode %q is unknown", st.Mode)
	}
	if err := checkBoxID(st.BoxID); err != nil {
		return err
	}
	if st.Mode.pcrs() {
		if err := checkPCRs(pcrIndices(st.Seal.PCRs)); err != nil {
			return err
		}
	}
	if len(st.Commitment) != commitmentSize || len(st.Auths) == 0 {
		return errors.New("commitment or authorisation values are missing")
	}
	if st.Mode.passphrase() && (len(st.Seal.Salt) == 0 || st.Seal.Iterations < 1 || st.Seal.Iterations > maxIterations) {
		return errors.New("passphrase salt or iterations are missing or out of range")
	}
	if len(st.Kit.Pairs) != len(kitPairs) {
		return fmt.Errorf("kit has %d pairs, want %d", len(st.Kit.Pairs), len(kitPairs))
	}
	for i, p := range st.Kit.Pairs {
		if p.Shares != kitPairs[i] {
			return fmt.Errorf("kit pair %d is of shares %v, want %v", i, p.Shares, kitPairs[i])
		}
	}
	if _, err := st.signer(); err != nil {
		return err
	}
	return nil
}

// SaveState writes st to path so that after a crash there is either the old file or the new one, whole, mode 0600.
func SaveState(path string, st State) (err error) {
	data, err := json.MarshalIndent(st, "", "  ")
	if err != nil {
		return fmt.Errorf("encode tpm state: %w", err)
	}
	if len(data) >= maxState {
		return errors.New("save tpm state: it would be too large to be read again")
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*.tmp") // mode 0600
	if err != nil {
		return fmt.Errorf("save tpm state: %w", err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("save tpm state: %w", err)
		}
	}()
	if _, err = f.Write(append(data, '\n')); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	// A crash before this line leaves the old state and a temporary file, after it the new state, once the directory is synced.
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
