package outbox

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

// Some SIMs and networks never send receipts, and then silence means nothing. So for each SIM and
// destination prefix the last texts are remembered, and what proved that they arrived: a receipt, or a
// person who typed the code.
const (
	wayTexts   = 20 // remembered of each way
	wayOld     = 40 // and counted beyond that; then both counts are halved, so that old days fade
	proofTexts = 5  // texts that must have had their time
	proofShare = 80 // percent of them whose receipt came
)

// way is what was learned of the texts from one SIM to one prefix.
type way struct {
	SIM    string     `json:"sim"`
	Prefix string     `json:"prefix"`
	Texts  []expected `json:"texts"` // oldest first
	Old    int        `json:"old,omitempty"`
	Proved int        `json:"proved,omitempty"` // of Old
	// Judge is when the silence on this way is looked at; zero or past is not planned.
	Judge   time.Time `json:"judge,omitzero"`
	Suspect time.Time `json:"suspect,omitzero"` // since when it is suspected of filtering
}

// expected is a text that went out with a receipt asked for.
type expected struct {
	ID      string        `json:"id"` // of the message, and of the attempt
	Attempt int           `json:"n,omitempty"`
	To      []byte        `json:"to"` // tells one number from another, and no more
	At      time.Time     `json:"at"`
	Came    bool          `json:"came,omitempty"`  // the receipt, whatever it says
	Delay   time.Duration `json:"delay,omitempty"` // of the receipt
	Typed   bool          `json:"typed,omitempty"` // its code was
}

func (e expected) proved() bool { return e.Came || e.Typed }

var ways = store.NewTable[way]("outbox.ways", store.Blinded(0),
	store.Bookkeeping("what was learned of each SIM's texts by prefix; a suspicion that comes of it, and its end, are entries"))

func wayKey(tx *store.Tx, sim, prefix string) []byte {
	return tx.Blind("outbox.way", sim+"|"+prefix)
}

func (y *yard) way(key []byte) (way, error) {
	w, _, err := ways.Get(y.tx, key)
	if err != nil {
		return way{}, fmt.Errorf("read what was learned: %w", err)
	}
	return w, nil
}

func (y *yard) keepWay(key []byte, w way) error {
	if err := ways.Put(y.tx, key, w); err != nil {
		return fmt.Errorf("keep what was learned: %w", err)
	}
	return nil
}

// expect notes that a receipt should come.
func (y *yard) expect(r *record, attempt int) error {
	a := &r.Attempts[attempt]
	if !a.Report || r.Route[a.Step].Channel != SMS {
		return nil
	}
	prefix := r.To.Prefix()
	key := wayKey(y.tx, a.SIM, prefix)
	w, err := y.way(key)
	if err != nil {
		return err
	}
	w.SIM, w.Prefix = a.SIM, prefix
	w.Texts = append(w.Texts, expected{ID: r.ID, Attempt: attempt, To: numberTag(y.tx, r.To), At: y.now})
	for ; len(w.Texts) > wayTexts; w.Texts = w.Texts[1:] {
		w.fade(w.Texts[0])
	}
	if err := y.planJudgement(key, &w); err != nil {
		return err
	}
	return y.keepWay(key, w)
}

func (w *way) fade(e expected) {
	if w.Old++; e.proved() {
		w.Proved++
	}
	if w.Old >= wayOld {
		w.Old, w.Proved = w.Old/2, w.Proved/2
	}
}

func numberTag(tx *store.Tx, p contact.Phone) []byte { return tx.Blind("outbox.number", p.E164())[:6] }

// answered notes that a receipt came; what it says does not matter here.
func (y *yard) answered(r *record, attempt int) error {
	return y.prove(r, attempt, func(e *expected) bool {
		if e.Came {
			return false
		}
		e.Came, e.Delay = true, y.now.Sub(e.At)
		return true
	}, "receipt")
}

// Converted notes that a person proved to hold a code of the record ref: its text arrived, receipt or
// not. Of several attempts it counts for those whose receipt came; without any, for the last one that
// may have left, as nobody can know which text the person read. A call proves nothing of texts.
func Converted(tx *store.Tx, ref string) error {
	ids, err := idsOf(tx, ref)
	if err != nil {
		return err
	}
	y := look(tx)
	type text struct {
		r       *record
		attempt int
	}
	var last *text
	var delivered []text
	for _, id := range ids {
		r, err := load(tx, id)
		if err != nil {
			return err
		}
		for i, a := range r.Attempts {
			t := text{r, i}
			if a.Outcome == Delivered {
				delivered = append(delivered, t)
			}
			if (a.Outcome == Sent || a.Outcome == Unknown) && (last == nil || !a.At.Before(last.r.Attempts[last.attempt].At)) {
				last = &t
			}
		}
	}
	if len(delivered) == 0 && last != nil {
		delivered = append(delivered, *last)
	}
	for _, t := range delivered {
		err := y.prove(t.r, t.attempt, func(e *expected) bool {
			was := e.Typed
			e.Typed = true
			return !was
		}, "code")
		if err != nil {
			return err
		}
	}
	return nil
}

// prove notes a proof that a text arrived, if it is still remembered. note tells whether it is news.
func (y *yard) prove(r *record, attempt int, note func(*expected) bool, by string) error {
	a := r.Attempts[attempt]
	if !a.Report || r.Route[a.Step].Channel != SMS {
		return nil
	}
	key := wayKey(y.tx, a.SIM, r.To.Prefix())
	w, err := y.way(key)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(w.Texts, func(e expected) bool { return e.ID == r.ID && e.Attempt == attempt })
	if i < 0 {
		return nil
	}
	ends := i >= w.silentFrom()
	if !note(&w.Texts[i]) {
		return nil
	}
	if ends && !w.Suspect.IsZero() {
		if err := y.clear(&w, by); err != nil {
			return err
		}
	}
	return y.keepWay(key, w)
}

// proven tells whether a missing receipt for the attempt means that the text did not arrive: of the
// other texts that had their time, enough, and most of them, had one.
func (y *yard) proven(a *Attempt, r *record) (bool, error) {
	if a == nil || !a.Report {
		return false, nil
	}
	w, err := y.way(wayKey(y.tx, a.SIM, r.To.Prefix()))
	if err != nil {
		return false, err
	}
	texts, came := 0, 0
	for _, e := range w.Texts {
		switch {
		case e.ID == r.ID:
		case e.Came:
			texts, came = texts+1, came+1
		case y.now.Sub(e.At) >= ReceiptWait:
			texts++
		}
	}
	return !w.Suspect.IsZero() || texts >= proofTexts && came*100 >= texts*proofShare, nil
}

// ReceiptsProven tells whether a missing receipt for an attempt of m says something of the number: receipts by its SIM to that prefix
// come as a rule, and the SIM is not suspected of being filtered there.
func ReceiptsProven(tx *store.Tx, m Message, attempt int) (bool, error) {
	y, a := look(tx), &m.Attempts[attempt]
	w, err := y.way(wayKey(tx, a.SIM, m.To.Prefix()))
	if err != nil || !w.Suspect.IsZero() {
		return false, err
	}
	return y.proven(a, &record{Message: m})
}

// Route is what was learned of the texts from one SIM to one destination prefix: of the last twenty,
// those that had their time.
type Route struct {
	SIM       string        `json:"sim"`
	Sender    string        `json:"sender,omitempty"` // that has the SIM now
	Carrier   string        `json:"carrier,omitempty"`
	Prefix    string        `json:"prefix"`
	Texts     int           `json:"texts"`
	Receipts  int           `json:"receipts"`
	Converted int           `json:"converted"` // texts whose code was typed
	Share     float64       `json:"share"`     // of the texts, those with a receipt
	Delay     time.Duration `json:"delay"`     // of the receipts, the median
	Suspected time.Time     `json:"suspected,omitzero"`
}

// Learned lists what was learned, the ways with most texts first.
func Learned(tx *store.Tx) ([]Route, error) {
	y := look(tx)
	all, err := y.all()
	if err != nil {
		return nil, err
	}
	var out []Route
	err = ways.Each(tx, store.Range{}, func(_ []byte, w way) error {
		rt := w.route(y.now)
		for _, m := range all {
			if m.SIM == w.SIM {
				rt.Sender, rt.Carrier = m.Name, m.Carrier
			}
		}
		out = append(out, rt)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what was learned: %w", err)
	}
	slices.SortFunc(out, func(a, b Route) int {
		if a.Texts != b.Texts {
			return b.Texts - a.Texts
		}
		return strings.Compare(a.Prefix+a.SIM, b.Prefix+b.SIM)
	})
	return out, nil
}

func (w way) route(now time.Time) Route {
	rt := Route{SIM: w.SIM, Prefix: w.Prefix, Suspected: w.Suspect}
	var delays []time.Duration
	for _, e := range w.Texts {
		if !e.proved() && now.Sub(e.At) < ReceiptWait {
			continue
		}
		rt.Texts++
		if e.Came {
			rt.Receipts++
			delays = append(delays, e.Delay)
		}
		if e.Typed {
			rt.Converted++
		}
	}
	if rt.Texts > 0 {
		rt.Share = float64(rt.Receipts) / float64(rt.Texts)
	}
	if len(delays) > 0 {
		slices.Sort(delays)
		rt.Delay = delays[len(delays)/2]
	}
	return rt
}
