package tpm

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// shareSecret is the length of a share's secret. Who has one share still lacks 160 bits of the other.
	shareSecret  = 20
	kitIDSize    = 4
	checksumSize = 4
	// shareTag starts a printed share and names its format.
	shareTag  = "PW1"
	kitShares = 3
	// shareChars is the length of a share's part in base32.
	shareChars     = ((kitIDSize+shareSecret+checksumSize)*8 + 4) / 5
	base32Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

// kitPairs are the pairs of shares that open the root key, in the order of KitState.Pairs.
var kitPairs = [...][2]int{{1, 2}, {1, 3}, {2, 3}}

var base32Text = base32.StdEncoding.WithPadding(base32.NoPadding)

// Kit is the secret part of the recovery kit: three shares of which any two restore the root key, with no TPM. It is
// handed out once, at commissioning, to three named holders, and kept nowhere. Formatted, logged or encoded as JSON it
// shows nothing; only Share gives text to print.
type Kit struct {
	boxID   string
	id      Hex
	shares  [kitShares][]byte
	holders [kitShares]string
}

// Share returns the printable text of share n, which must be 1, 2 or 3: tag, box, number, then groups of base32 with a checksum.
//
//	PW1 clinic-7 2/3 ABCD EFGH ...
func (k Kit) Share(n int) string {
	return share{boxID: k.boxID, number: n, kitID: k.id, secret: k.shares[n-1]}.text()
}

// Holder returns the name of the person who gets share n, to be printed on it; "" if none was given. The State does not
// hold it.
func (k Kit) Holder(n int) string { return k.holders[n-1] }

// Wipe clears the shares once they are printed. Text that Share returned is the caller's, and Go cannot clear it.
func (k Kit) Wipe() {
	for _, s := range k.shares {
		clear(s)
	}
}

// checkHolders wants three different people, or nobody: a kit whose shares lie in one hand is no kit.
func checkHolders(names [kitShares]string) error {
	if names == [kitShares]string{} {
		return nil
	}
	seen := map[string]bool{}
	for i, name := range names {
		folded := strings.ToLower(strings.Join(strings.Fields(name), " "))
		switch {
		case folded == "" || utf8.RuneCountInString(name) > 64 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
			return fmt.Errorf("holder %d of the recovery kit needs a name of 1 to 64 characters", i+1)
		case seen[folded]:
			return fmt.Errorf("holder %d of the recovery kit is named twice: three different people hold it", i+1)
		}
		seen[folded] = true
	}
	return nil
}

// ID tells this kit's shares from those of an older kit. It is on each share and no secret.
func (k Kit) ID() string { return hex.EncodeToString(k.id) }

// Format implements fmt.Formatter: whatever the verb, no share.
func (k Kit) Format(f fmt.State, _ rune) { io.WriteString(f, k.String()) }

// String shows no share.
func (k Kit) String() string { return "tpm.Kit(withheld)" }

// LogValue implements slog.LogValuer.
func (k Kit) LogValue() slog.Value { return slog.StringValue(k.String()) }

// share is one share, parsed.
type share struct {
	boxID  string
	number int
	kitID  []byte
	secret []byte
}

// Format implements fmt.Formatter: whatever the verb, no secret.
func (s share) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "share %d (withheld)", s.number) }

func (s share) checksum() []byte {
	h := sha256.New()
	fmt.Fprintf(h, "pinward recovery share v1\x00%s\x00%d\x00", s.boxID, s.number)
	h.Write(s.kitID)
	h.Write(s.secret)
	return h.Sum(nil)[:checksumSize]
}

func (s share) text() string {
	body := base32Text.EncodeToString(bytes.Join([][]byte{s.kitID, s.secret, s.checksum()}, nil))
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %d/%d", shareTag, s.boxID, s.number, kitShares)
	for len(body) > 0 {
		n := min(4, len(body))
		b.WriteString(" " + body[:n])
		body = body[n:]
	}
	return b.String()
}

// misread maps digits that base32 does not have to the letters they were read for, and drops what people put between groups.
var misread = strings.NewReplacer("0", "O", "1", "I", "8", "B", "-", "", "\u2013", "")

// parseShare reads what a person typed: any case, any grouping. Its errors say what is wrong, never what was typed.
func parseShare(text string) (share, error) {
	fields := strings.Fields(text)
	if len(fields) < 4 || !strings.EqualFold(fields[0], shareTag) {
		return share{}, fmt.Errorf("it does not start with %q, the box and the number", shareTag)
	}
	number, of, _ := strings.Cut(fields[2], "/")
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > kitShares || of != strconv.Itoa(kitShares) {
		return share{}, fmt.Errorf("its number is not 1/%d to %d/%[1]d", kitShares, kitShares)
	}
	body := misread.Replace(strings.ToUpper(strings.Join(fields[3:], "")))
	if strings.Trim(body, base32Alphabet) != "" {
		return share{}, errors.New("it has a character that no share has")
	}
	s, ok := decodeShare(fields[1], n, body)
	if !ok { // capitals throughout, as on some keyboards at night
		s, ok = decodeShare(strings.ToLower(fields[1]), n, body)
	}
	switch {
	case ok:
		return s, nil
	case len(body) < shareChars-1 || len(body) > shareChars+1:
		return share{}, fmt.Errorf("it is too short or too long: %d characters after the number, not %d", len(body), shareChars)
	}
	return share{}, fmt.Errorf("its checksum does not match: %s", locate(fields[1], n, body))
}

// decodeShare reads the part in base32 and tells whether its checksum is right.
func decodeShare(boxID string, number int, text string) (share, bool) {
	body, err := base32Text.DecodeString(text)
	if err != nil || len(body) != kitIDSize+shareSecret+checksumSize {
		return share{}, false
	}
	s := share{boxID: boxID, number: number, kitID: body[:kitIDSize], secret: body[kitIDSize : kitIDSize+shareSecret]}
	return s, subtle.ConstantTimeCompare(s.checksum(), body[kitIDSize+shareSecret:]) == 1
}

// checkBoxID allows what can be typed from paper and stands as one word in a share.
func checkBoxID(id string) error {
	if len(id) == 0 || len(id) > 32 {
		return errors.New("box id must have 1 to 32 characters")
	}
	for _, r := range id {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r)) {
			return errors.New("box id may have letters, digits, dot, hyphen and underscore only")
		}
	}
	return nil
}

// pairKey derives the HPKE key of a pair from its two secrets, lower number first.
func pairKey(boxID string, kitID []byte, pair [2]int, low, high []byte) (hpke.PrivateKey, error) {
	both := slices.Concat(low, high)
	defer clear(both)
	ikm, err := hkdf.Key(sha256.New, both, kitID, pairInfo(boxID, pair), 32)
	if err != nil {
		return nil, err
	}
	defer clear(ikm)
	return hpke.DHKEM(ecdh.P256()).DeriveKeyPair(ikm)
}

func pairInfo(boxID string, pair [2]int) string {
	return fmt.Sprintf("pinward recovery pair v1\x00%s\x00%d\x00%d", boxID, pair[0], pair[1])
}

// newKit makes three shares and wraps root to each pair of them with HPKE (RFC 9180: DHKEM(P-256, HKDF-SHA256),
// HKDF-SHA256, AES-256-GCM). Because each pair is a public key, a later root key is wrapped without calling the holders in.
func newKit(boxID string, root []byte, holders [kitShares]string) (Kit, KitState, error) {
	if err := checkHolders(holders); err != nil {
		return Kit{}, KitState{}, err
	}
	kit := Kit{boxID: boxID, id: make(Hex, kitIDSize), holders: holders}
	rand.Read(kit.id)
	for i := range kit.shares {
		kit.shares[i] = make([]byte, shareSecret)
		rand.Read(kit.shares[i])
	}
	st := KitState{ID: kit.id}
	for _, pair := range kitPairs {
		key, err := pairKey(boxID, kit.id, pair, kit.shares[pair[0]-1], kit.shares[pair[1]-1])
		if err != nil {
			return Kit{}, KitState{}, fmt.Errorf("derive key of share pair: %w", err)
		}
		wrapped, err := hpke.Seal(key.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(pairInfo(boxID, pair)), root)
		if err != nil {
			return Kit{}, KitState{}, fmt.Errorf("wrap root key to share pair: %w", err)
		}
		st.Pairs = append(st.Pairs, PairState{Shares: pair, PublicKey: key.PublicKey().Bytes(), WrappedRoot: wrapped})
	}
	return kit, st, nil
}

// kitShare reads a share as typed, which must be of the kit of st.
func kitShare(st State, text string) (share, error) {
	s, err := parseShare(text)
	switch {
	case err != nil:
	case s.boxID != st.BoxID:
		err = errors.New("it belongs to another box")
	case !bytes.Equal(s.kitID, st.Kit.ID):
		err = errors.New("it belongs to another kit of this box, perhaps one made before the last rotation")
	}
	return s, err
}

// openKit restores the root key from shares as typed. Two are enough; a third is checked to be of the kit and then ignored.
func openKit(st State, texts []string) (root []byte, numbers []int, err error) {
	byNumber := map[int]share{}
	for i, text := range texts {
		s, err := kitShare(st, text)
		if err == nil && byNumber[s.number].number != 0 {
			err = fmt.Errorf("share %d was entered twice", s.number)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("%w: the share entered as number %d: %w", ErrShare, i+1, err)
		}
		byNumber[s.number] = s
	}
	if len(byNumber) < 2 {
		return nil, nil, fmt.Errorf("%w: two different shares are needed, %d given", ErrShare, len(byNumber))
	}
	for i, pair := range kitPairs {
		low, high := byNumber[pair[0]], byNumber[pair[1]]
		if low.number == 0 || high.number == 0 {
			continue
		}
		key, err := pairKey(st.BoxID, st.Kit.ID, pair, low.secret, high.secret)
		if err != nil {
			return nil, nil, fmt.Errorf("derive key of share pair: %w", err)
		}
		root, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), []byte(pairInfo(st.BoxID, pair)), st.Kit.Pairs[i].WrappedRoot)
		if err != nil || len(root) != rootSize {
			return nil, nil, fmt.Errorf("%w: shares %d and %d are intact but do not open this box's key: the state file is of another kit or damaged",
				ErrShare, pair[0], pair[1])
		}
		return root, slices.Sorted(maps.Keys(byNumber)), nil
	}
	return nil, nil, fmt.Errorf("%w: two different shares are needed", ErrShare)
}
