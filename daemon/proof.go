package daemon

import (
	"fmt"
	"time"

	"pinward/modem"
	"pinward/store"
)

// proofFor is how long a proven call counts: firmware, contract and network change under a modem that says of itself
// that it calls (modem reference 6.5).
const proofFor = 90 * 24 * time.Hour

// proof is when a modem with a SIM was last heard by somebody who pressed a key.
type proof struct {
	At  time.Time
	Way string // how the sound was played: pcm, file, tts
}

var proofs = store.NewTable[proof]("modem.voice", store.Blinded(0), // by IMEI and ICCID
	store.Bookkeeping("when a call of a modem was last confirmed by a key; each call is an entry of its message"))

func proofKey(tx *store.Tx, imei, sim string) []byte { return tx.Blind("modem.voice", imei+"\x00"+sim) }

// proofOf is the last proof of the modem and the SIM in it, zero if there is none that counts.
func proofOf(tx *store.Tx, st modem.Status) (proof, error) {
	p, _, err := proofs.Get(tx, proofKey(tx, st.IMEI, st.ICCID))
	if err != nil {
		return proof{}, fmt.Errorf("read proof of calls: %w", err)
	}
	if tx.Now().Sub(p.At) >= proofFor {
		return proof{}, nil
	}
	return p, nil
}

// knownProof is what a sender remembers of its modem and SIM, so that it does not read it for each report.
type knownProof struct {
	imei, sim string
	at        time.Time
}

// holds tells whether the modem with this SIM is proven.
func (k knownProof) holds(st modem.Status) bool {
	return k.imei == st.IMEI && k.sim == st.ICCID && !k.at.IsZero() && time.Since(k.at) < proofFor
}

// learnProof reads what is known of the modem that the sender has now.
func (s *sender) learnProof(tx *store.Tx, st modem.Status) error {
	if st.IMEI == "" || st.ICCID == "" || s.proof.imei == st.IMEI && s.proof.sim == st.ICCID {
		return nil
	}
	p, err := proofOf(tx, st)
	if err == nil {
		s.proof = knownProof{st.IMEI, st.ICCID, p.At}
	}
	return err
}

// proved keeps that a call was confirmed, to the hour.
func (s *sender) proved(tx *store.Tx, st modem.Status, r modem.CallResult) error {
	s.proof = knownProof{st.IMEI, st.ICCID, tx.Now()}
	old, err := proofOf(tx, st)
	if err != nil || old.Way == r.Way && tx.Now().Sub(old.At) < time.Hour {
		return err
	}
	if err := proofs.Put(tx, proofKey(tx, st.IMEI, st.ICCID), proof{At: tx.Now(), Way: r.Way}); err != nil {
		return fmt.Errorf("keep proof of calls: %w", err)
	}
	return nil
}
