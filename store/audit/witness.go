package audit

import (
	"bufio"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"

	"golang.org/x/mod/sumdb/tlog"
)

// HeadLine is a signed head as one line of text without its line feed, for a file, a log server or
// paper: "pinward-head size=N note=BASE64". It names no person.
func HeadLine(note []byte) (string, error) {
	h, _, _, err := ParseNote(note)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("pinward-head size=%d note=%s", h.Size, base64.StdEncoding.EncodeToString(note)), nil
}

var headLine = regexp.MustCompile(`pinward-head size=[0-9]+ note=([A-Za-z0-9+/]+={0,2})`)

// maxLine is more than a log server puts around a head.
const maxLine = 64 << 10

// HeadLines calls fn for the notes of the lines that hold a [HeadLine], wherever in the line. What it
// gives is not verified: anybody may have written the line. An error of fn ends it.
func HeadLines(r io.Reader, fn func(note []byte) error) error {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	for s.Scan() {
		m := headLine.FindSubmatch(s.Bytes())
		if m == nil {
			continue
		}
		note, err := base64.StdEncoding.DecodeString(string(m[1]))
		if err != nil {
			continue // cut by whoever kept it: it shows nothing, and hides nothing
		}
		if _, _, _, err := ParseNote(note); err != nil {
			continue
		}
		if err := fn(note); err != nil {
			return err
		}
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("read witness: %w", err)
	}
	return nil
}

// compare holds the bundle against what a witness saw. A head that a signer of the bundle signed and
// that is not one of its heads is a second history, or the tail that was cut off. Lines that no such
// signer signed are anybody's, and are only counted.
func (v *verifier) compare(r io.Reader) error {
	known := make(map[[32]byte]uint64, len(v.hashes))
	for i, h := range v.hashes {
		known[h] = v.heads[i].Size
	}
	end, older, foreign := v.heads[len(v.heads)-1].Size, 0, 0
	err := HeadLines(r, func(note []byte) error {
		if size, ok := known[NoteHash(note)]; ok {
			v.report.Witnessed++
			v.report.WitnessEnd = max(v.report.WitnessEnd, size)
			return nil
		}
		for _, k := range v.keys {
			h, err := VerifyNote(note, k)
			switch {
			case err != nil || h.Origin != v.report.Origin:
			case h.Size > end:
				return refuse("the witness saw a head over %d entries, and this bundle ends at %d: it is an old one, or its tail was cut off", h.Size, end)
			case h.Size < v.base.size:
				older++
				return nil
			default:
				return refuse("the witness saw another head over %d entries: there are two histories", h.Size)
			}
		}
		foreign++
		return nil
	})
	if err != nil {
		return err
	}
	if v.report.Witnessed == 0 {
		return refuse("the witness saw none of its heads")
	}
	if foreign > 0 {
		v.find("%d heads of the witness are signed by nobody of this bundle", foreign)
	}
	if older > 0 {
		v.find("%d heads of the witness are older than this part of the log and were not compared", older)
	}
	return nil
}

// CheckConsistency checks that a log of which a witness saw the head old, and of which it now sees
// the head now, was only appended to: proof is the RFC 6962 consistency proof between their sizes.
func CheckConsistency(old, now Head, proof []tlog.Hash) error {
	switch {
	case old.Origin != now.Origin:
		return errors.New("compare heads: they are of two logs")
	case now.Size < old.Size:
		return fmt.Errorf("compare heads: the log has shrunk from %d entries to %d: it was set back", old.Size, now.Size)
	case now.Size == old.Size || old.Size == 0:
		if len(proof) != 0 || old.Size != 0 && now.Root != old.Root {
			return errors.New("compare heads: two roots over the same entries: there are two histories")
		}
		return nil
	case now.Size > 1<<62:
		return fmt.Errorf("%w: head: size", ErrEncoding)
	}
	if err := tlog.CheckTree(proof, int64(now.Size), now.Root, int64(old.Size), old.Root); err != nil {
		return errors.New("compare heads: what was there before is not in the log any more: there are two histories")
	}
	return nil
}
