package outbox

import (
	"fmt"
	"math"
	"slices"
	"time"

	"pinward/store"
)

// A carrier that filters takes texts with +CMGS and drops them: neither a receipt nor a typed code
// follows. One way, a SIM and a destination prefix, is suspected of it when its latest texts are
// silent and that is too unlikely to be chance:
//
//   - only texts of the last day count, that had filterWait, and came after the last proof of arrival;
//   - of one number at most filterEach count, so that one dead handset marks nobody;
//   - filterTexts of them are needed, so that a prefix with little traffic is not judged;
//   - with p the share of texts that used to be proved, so many in a row are silent by chance with a
//     probability of (1-p)^n, which must be filterChance at the most. p is the way's own share before
//     the silence. A way that never had a proof is held against other SIMs to the same prefix, by typed
//     codes alone: whether receipts come is up to each carrier. p is taken as k/(m+2), so that few
//     texts prove little.
const (
	filterTexts  = 5
	filterEach   = 2
	filterWait   = 5 * time.Minute // the usual life of a code
	filterSpan   = 24 * time.Hour
	filterChance = 0.01
)

// A suspected way gets one message each trialEvery, to see whether it still filters; a code only where
// none other came, and only one whose route goes on by itself. Where nothing goes by it for filterSpan,
// a trial neither, the suspicion is over: nothing of what it rests on counts any more.
const (
	trialEvery = time.Hour
	trialCode  = 2 * time.Hour
)

// shunFor is how long a message waits for a SIM that is not suspected, if one is ready: then it goes
// by the suspected one after all.
func shunFor(l Lane) time.Duration { return max(avoidFor(l), stickFor(l)) }

// Actions on suspected ways. Object is the ICCID.
const (
	ActionFiltered store.Action = "sim.filtered"
	ActionCleared  store.Action = "sim.cleared"
)

// TroubleFiltered is the Trouble of a SIM that a carrier seems to filter.
const TroubleFiltered TroubleKind = "filtered"

// suspect is one SIM that is suspected on a prefix.
type suspect struct {
	SIM     string    `json:"sim"`
	Carrier string    `json:"carrier,omitempty"`
	Prefix  string    `json:"prefix"`
	Since   time.Time `json:"since"`
	Trial   time.Time `json:"trial"` // the last one
}

var (
	suspects = store.NewTable[[]suspect]("outbox.suspects", store.Blinded(0),
		store.Bookkeeping("which SIMs are suspected on a prefix; beginning and end of a suspicion are entries"))
	judgements = store.NewTable[struct{}]("outbox.judgements", store.Blinded(8),
		store.Bookkeeping("index of learned ways by when to look at their silence"))
)

func suspectKey(tx *store.Tx, prefix string) []byte { return tx.Blind("outbox.suspect", prefix) }

// silentFrom is the index of the first text after the last one that was proved.
func (w *way) silentFrom() int {
	for i, e := range slices.Backward(w.Texts) {
		if e.proved() {
			return i + 1
		}
	}
	return 0
}

// silence counts the texts that are silent for long enough, at most filterEach of one number.
func (w *way) silence(now time.Time) int {
	n := 0
	each := map[string]int{}
	for _, e := range w.Texts[w.silentFrom():] {
		if age := now.Sub(e.At); age < filterWait || age > filterSpan {
			continue
		}
		if each[string(e.To)]++; each[string(e.To)] <= filterEach {
			n++
		}
	}
	return n
}

// planJudgement has the way looked at when its latest texts had their time, if they may be too many.
func (y *yard) planJudgement(key []byte, w *way) error {
	if len(w.Texts)-w.silentFrom() < filterTexts || !w.Suspect.IsZero() || w.Judge.After(y.now) {
		return nil
	}
	w.Judge = y.now.Add(filterWait)
	if err := judgements.Put(y.tx, append(instant(w.Judge), key...), struct{}{}); err != nil {
		return fmt.Errorf("plan judgement: %w", err)
	}
	return nil
}

// judge looks at the ways whose time has come, a few at once.
func (y *yard) judge() error {
	var due [][]byte
	err := judgements.Each(y.tx, store.Range{}, func(key []byte, _ struct{}) error {
		if keyTime(key[:8]).After(y.now) || len(due) == wakes {
			return store.Stop
		}
		due = append(due, key)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read judgements: %w", err)
	}
	for _, key := range due {
		if err := judgements.Delete(y.tx, key); err != nil {
			return fmt.Errorf("forget judgement: %w", err)
		}
		w, err := y.way(key[8:])
		if err != nil {
			return err
		}
		if err := y.judgeWay(key[8:], w); err != nil {
			return err
		}
	}
	return nil
}

func (y *yard) judgeWay(key []byte, w way) error {
	if !w.Suspect.IsZero() {
		return y.outlive(key, w)
	}
	if n := w.silence(y.now); n >= filterTexts {
		p, err := y.expectation(&w)
		if err != nil {
			return err
		}
		if math.Pow(1-p, float64(n)) <= filterChance {
			return y.suspect(key, w, n)
		}
	}
	if n := len(w.Texts); n == 0 || y.now.Sub(w.Texts[n-1].At) >= filterWait {
		return nil // the next text plans the next look
	}
	if err := y.planJudgement(key, &w); err != nil {
		return err
	}
	return y.keepWay(key, w)
}

// outlive ends a suspicion without traffic, or looks again when its latest text will be too old.
func (y *yard) outlive(key []byte, w way) error {
	last := w.Suspect
	if n := len(w.Texts); n > 0 && w.Texts[n-1].At.After(last) {
		last = w.Texts[n-1].At
	}
	if w.Judge = last.Add(filterSpan); w.Judge.After(y.now) {
		if err := judgements.Put(y.tx, append(instant(w.Judge), key...), struct{}{}); err != nil {
			return fmt.Errorf("plan judgement: %w", err)
		}
	} else if err := y.clear(&w, "time"); err != nil {
		return err
	}
	return y.keepWay(key, w)
}

// expectation is the share of texts on the way of which a proof is to be expected.
func (y *yard) expectation(w *way) (float64, error) {
	share := func(proved, texts int) float64 { return float64(proved) / float64(texts+2) }
	texts, proved := w.Old, w.Proved
	for _, e := range w.Texts[:w.silentFrom()] {
		if texts++; e.proved() {
			proved++
		}
	}
	if proved > 0 {
		return share(proved, texts), nil
	}
	all, err := y.all()
	best := 0.0
	for _, m := range all {
		if m.SIM == w.SIM || m.SIM == "" {
			continue
		}
		other, err := y.way(wayKey(y.tx, m.SIM, w.Prefix))
		if err != nil {
			return 0, err
		}
		texts, typed := 0, 0
		for _, e := range other.Texts {
			if age := y.now.Sub(e.At); age > filterSpan || age < filterWait && !e.Typed {
				continue
			}
			if texts++; e.Typed {
				typed++
			}
		}
		best = max(best, share(typed, texts))
	}
	return best, err
}

// suspect begins an episode.
func (y *yard) suspect(key []byte, w way, silent int) error {
	w.Suspect = y.now
	if err := y.outlive(key, w); err != nil {
		return err
	}
	s := suspect{SIM: w.SIM, Prefix: w.Prefix, Since: y.now, Trial: y.now}
	all, err := y.all()
	if err != nil {
		return err
	}
	sender := ""
	for _, m := range all {
		if m.SIM == w.SIM {
			s.Carrier, sender = m.Carrier, m.Name
		}
	}
	list, _, err := suspects.Get(y.tx, suspectKey(y.tx, w.Prefix))
	if err != nil {
		return fmt.Errorf("read suspected SIMs: %w", err)
	}
	if err := suspects.Put(y.tx, suspectKey(y.tx, w.Prefix), append(list, s)); err != nil {
		return fmt.Errorf("keep suspected SIM: %w", err)
	}
	y.tx.Signal(Changed)
	return y.tx.Record(store.Entry{Action: ActionFiltered, Outcome: store.Failed, Object: w.SIM, Attrs: []store.Attr{
		attr("sender", sender), attr("carrier", s.Carrier), attr("prefix", w.Prefix), attr("silent", silent)}})
}

// clear ends an episode: a text that was part of the silence has arrived, or the silence is long past.
func (y *yard) clear(w *way, by string) error {
	key := suspectKey(y.tx, w.Prefix)
	list, _, err := suspects.Get(y.tx, key)
	if err != nil {
		return fmt.Errorf("read suspected SIMs: %w", err)
	}
	list = slices.DeleteFunc(slices.Clone(list), func(s suspect) bool { return s.SIM == w.SIM })
	if len(list) == 0 {
		err = suspects.Delete(y.tx, key)
	} else {
		err = suspects.Put(y.tx, key, list)
	}
	if err != nil {
		return fmt.Errorf("forget suspected SIM: %w", err)
	}
	since := w.Suspect
	w.Suspect = time.Time{}
	y.tx.Signal(Changed)
	y.tx.Signal(Due)
	return y.tx.Record(store.Entry{Action: ActionCleared, Outcome: store.OK, Object: w.SIM, Attrs: []store.Attr{
		attr("prefix", w.Prefix), attr("by", by), attr("after", y.now.Sub(since).Round(time.Second))}})
}

// keepClear writes into the class which SIM the message is to be kept from, or that it is the trial of
// a suspected one.
func keepClear(tx *store.Tx, r *record, c *class) error {
	if c.Channel != SMS || c.SIM != "" {
		return nil
	}
	key := suspectKey(tx, r.To.Prefix())
	list, _, err := suspects.Get(tx, key)
	if err != nil {
		return fmt.Errorf("read suspected SIMs: %w", err)
	}
	for i, s := range list {
		try, err := r.isTrial(tx, s)
		if err != nil {
			return err
		}
		if try && c.AvoidSIM != s.SIM {
			list = slices.Clone(list)
			list[i].Trial = tx.Now()
			c.Prefer, c.Shun, c.ShunCarrier = s.SIM, "", ""
			return suspects.Put(tx, key, list)
		}
		c.Shun += s.SIM + " "
		c.ShunCarrier = s.Carrier
		if c.Prefer == s.SIM {
			c.Prefer = ""
		}
	}
	return nil
}

// isTrial tells whether this message should see if a suspected way still filters.
func (r *record) isTrial(tx *store.Tx, s suspect) (bool, error) {
	since := tx.Now().Sub(s.Trial)
	if len(r.Attempts) > 0 || since < trialEvery {
		return false, nil
	}
	if r.Lane == OTP {
		return since >= trialCode && r.Step+1 < len(r.Route), nil
	}
	sim, _, err := SIMOf(tx, s.SIM)
	return r.Essential || sim.carries(r.Lane, tx.Now()), err
}

// suspected lists the SIMs that a code is kept from on its first step, for admission.
func (y *yard) suspected(r *record) ([]suspect, error) {
	if r.Route[0].Channel != SMS || r.SIM != "" || r.To.IsZero() {
		return nil, nil
	}
	list, _, err := suspects.Get(y.tx, suspectKey(y.tx, r.To.Prefix()))
	if err != nil {
		return nil, fmt.Errorf("read suspected SIMs: %w", err)
	}
	return list, nil
}

// holdsOff tells whether the sender should leave a message to SIMs that are not suspected.
func (y *yard) holdsOff(m *member, l Lane, c class, since time.Time) (bool, error) {
	if c.Shun == "" || !y.now.Before(since.Add(shunFor(l))) {
		return false, nil
	}
	suspected := c.shuns(m)
	if !suspected && (m.Carrier != c.ShunCarrier || !y.now.Before(since.Add(stickFor(l)))) {
		return false, nil
	}
	all, err := y.all()
	if err != nil {
		return false, err
	}
	for _, other := range all {
		if c.shuns(other) || !other.can(l, c) || !suspected && (other.Hand != "" || other.Carrier == c.ShunCarrier) {
			continue
		}
		if well, err := y.well(other, l, c.parts()); well || err != nil {
			return well, err
		}
	}
	return false, nil
}
