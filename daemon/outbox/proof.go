package outbox

import (
	"fmt"
	"time"

	"pinward/store"
)

// Some SIMs and networks never send receipts, and then silence means nothing. So for each SIM and
// prefix the last texts are remembered, and whether a receipt came.
const (
	proofKept  = 20 // texts remembered
	proofTexts = 5  // texts that must have had their time
	proofShare = 80 // percent of them whose receipt came
)

// expected is a text that went out with a receipt asked for.
type expected struct {
	ID      string    `json:"id"` // of the message, and of the attempt
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`
	Came    bool      `json:"came,omitempty"`
}

var proofs = store.NewTable[[]expected]("outbox.proofs",
	store.Bookkeeping("how often receipts came of late, by SIM and prefix"))

func proofKey(tx *store.Tx, sim, prefix string) []byte {
	return tx.Blind("outbox.proof", sim+"|"+prefix)
}

// expect notes that a receipt should come.
func (y *yard) expect(r *record, attempt int) error {
	a := &r.Attempts[attempt]
	if !a.Report || r.Route[a.Step].Channel != SMS {
		return nil
	}
	key := proofKey(y.tx, a.SIM, r.To.Prefix())
	p, _, err := proofs.Get(y.tx, key)
	if err != nil {
		return fmt.Errorf("read receipt rate: %w", err)
	}
	p = append(p, expected{ID: r.ID, Attempt: attempt, At: y.now})
	if len(p) > proofKept {
		p = p[len(p)-proofKept:]
	}
	return y.keepProof(key, p)
}

// answered notes that one came; what it says does not matter here.
func (y *yard) answered(r *record, attempt int) error {
	key := proofKey(y.tx, r.Attempts[attempt].SIM, r.To.Prefix())
	p, _, err := proofs.Get(y.tx, key)
	if err != nil {
		return fmt.Errorf("read receipt rate: %w", err)
	}
	for i := range p {
		if p[i].ID == r.ID && p[i].Attempt == attempt && !p[i].Came {
			p[i].Came = true
			return y.keepProof(key, p)
		}
	}
	return nil
}

func (y *yard) keepProof(key []byte, p []expected) error {
	if err := proofs.Put(y.tx, key, p); err != nil {
		return fmt.Errorf("keep receipt rate: %w", err)
	}
	return nil
}

// proven tells whether a missing receipt for the attempt means that the text did not arrive: of the
// other texts that had their time, enough, and most of them, had one.
func (y *yard) proven(a *Attempt, r *record) (bool, error) {
	if a == nil || !a.Report {
		return false, nil
	}
	p, _, err := proofs.Get(y.tx, proofKey(y.tx, a.SIM, r.To.Prefix()))
	if err != nil {
		return false, fmt.Errorf("read receipt rate: %w", err)
	}
	texts, came := 0, 0
	for _, e := range p {
		switch {
		case e.ID == r.ID:
		case e.Came:
			texts, came = texts+1, came+1
		case y.now.Sub(e.At) >= ReceiptWait:
			texts++
		}
	}
	return texts >= proofTexts && came*100 >= texts*proofShare, nil
}
