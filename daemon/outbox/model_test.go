package outbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pinward/store"
)

// world is what the outside of the outbox knows for sure: which hand-overs it was given, what truly
// became of each on the air, and what it asked for. The outbox sees of it what senders and receipts
// tell, which is less, late, doubled, or nothing.
type world struct {
	*box
	rng   *rand.Rand
	names []string
	hands map[string]Job     // by sender
	all   map[string]*ledger // by message
	ids   []string
	ref   byte
	mail  []parcel // receipts on their way
	late  []answer // that patience did not wait for
}

// answer is what the network said of a hand-over that was settled as unknown.
type answer struct {
	job  Job
	left bool
	ref  byte
}

// ledger is the truth about one message.
type ledger struct {
	Message
	onAir   int // how many have it in hand: never more than one
	aired   int // hand-overs that truly left the modem
	unknown int // of its hand-overs that were settled as unknown, and not explained since
	stopped bool
}

type parcel struct {
	job    Job
	ref    byte
	status byte
}

// TestModel plays random days: senders that fail in every way, receipts that come early, twice, late
// or not at all, crashes between any two steps, cancels, clock running on. It holds after each step:
// no message is in two hands; a notice that may not be repeated is not handed over again after an
// unknown outcome or after the network took it; every index agrees with the messages. And at the
// end: every message that was accepted has an end, and none that was canceled in time went out.
func TestModel(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				w := &world{
					box: newBox(t), rng: rand.New(rand.NewPCG(seed, 1)), names: []string{"a", "b", "c"},
					hands: map[string]Job{}, all: map[string]*ledger{},
				}
				for range 200 {
					w.step()
					w.coherent()
				}
				w.finish()
			})
		})
	}
}

func (w *world) one(n int) bool { return w.rng.IntN(n) == 0 }

func (w *world) step() {
	w.t.Helper()
	switch w.rng.IntN(13) {
	case 0, 1:
		w.accept()
	case 2:
		w.announce()
	case 3, 4, 5:
		w.ask(w.names[w.rng.IntN(len(w.names))])
	case 6, 7, 8:
		w.tell(w.names[w.rng.IntN(len(w.names))])
	case 9:
		w.deliver()
	case 10:
		time.Sleep(time.Duration(w.rng.IntN(20_000)) * time.Millisecond)
		w.expire()
	case 12:
		w.amendOne()
	case 11:
		switch {
		case w.one(4):
			w.crash()
		case len(w.ids) > 0 && w.one(2):
			w.cancel(w.ids[w.rng.IntN(len(w.ids))])
		}
	}
}

func (w *world) accept() {
	m := code(w.rng.IntN(4)) // few numbers: receipts must be told apart
	switch w.rng.IntN(4) {
	case 0:
		m.Route = fullRoute()
	case 1:
		m = notice(w.rng.IntN(4))
		m.Expires = time.Now().Add(10 * time.Minute)
	case 2:
		m = notice(w.rng.IntN(4))
		m.Repeat, m.Expires = true, time.Now().Add(10*time.Minute)
		m.Due = time.Now().Add(time.Duration(w.rng.IntN(60)) * time.Second)
	}
	m = w.put(m)
	w.all[m.ID] = &ledger{Message: m}
	w.ids = append(w.ids, m.ID)
}

func (w *world) announce() {
	for i, name := range w.names {
		s := modem(name, []string{"red", "blue", "red"}[i])
		s.Ready, s.Voice, s.Claims = !w.one(4), name == "c" && !w.one(3), w.one(2)
		w.caps(name, 20, -1)
		w.report(s)
	}
}

func (w *world) ask(name string) {
	w.t.Helper()
	if _, busy := w.hands[name]; busy {
		return
	}
	var job Job
	var ok bool
	err := ErrAskNext
	if w.one(2) {
		job, ok, err = w.claimed(name)
	}
	if err != nil || !ok {
		err = w.try(func(tx *store.Tx) (err error) {
			job, ok, err = Next(tx, name, w.src)
			return err
		})
	}
	if errors.Is(err, ErrUnknownSender) {
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if !ok {
		return
	}
	l := w.all[job.Message.ID]
	if l == nil {
		w.t.Fatal("a message that nobody put")
	}
	w.hands[name] = job
	l.onAir++
	switch repeatable := l.Lane == OTP || l.Repeat; {
	case l.onAir > 1:
		w.t.Fatalf("a message is in two hands")
	case !repeatable && l.unknown > 0:
		w.t.Fatalf("a notice that may not be repeated is handed over again after an unknown outcome")
	case !repeatable && l.aired > 0:
		w.t.Fatalf("a notice that is out is handed over again")
	case l.stopped:
		w.t.Fatalf("a canceled message is handed over")
	case !time.Now().Before(l.Expires):
		w.t.Fatalf("a message is handed over after its end")
	}
}

// tell ends a hand-over: first the truth, then what the sender says of it.
func (w *world) tell(name string) {
	w.t.Helper()
	job, busy := w.hands[name]
	if !busy {
		return
	}
	l := w.all[job.Message.ID]
	w.ref++
	res := Result{Outcome: Sent, Parts: []Part{{Ref: w.ref, State: Sent}}}
	left := true
	switch w.rng.IntN(8) {
	case 0:
		res, left = Result{Outcome: NotSent, Code: 38}, false
	case 1:
		res, left = Result{Outcome: Refused, Code: 1}, false
	case 2, 3:
		res = Result{Outcome: Unknown}
		left = w.one(2)
		if !w.one(3) {
			w.late = append(w.late, answer{job, left, w.ref})
		}
	}
	if left {
		l.aired++
		w.post(job, w.ref)
		if w.one(4) {
			w.deliver() // before its +CMGS, perhaps
		}
	}
	w.settle(job, res)
	if res.Outcome == Unknown {
		l.unknown++
	}
	l.onAir--
	delete(w.hands, name)
}

// amendOne gives a late answer, at times twice.
func (w *world) amendOne() {
	w.t.Helper()
	if len(w.late) == 0 {
		return
	}
	i := w.rng.IntN(len(w.late))
	a := w.late[i]
	res := sentAs(a.ref)
	if !a.left {
		res = Result{Outcome: NotSent}
	}
	was := w.get(a.job.Message.ID)
	w.amend(a.job, res)
	l := w.all[a.job.Message.ID]
	if now := w.get(a.job.Message.ID); was.State == Delivered && now.State != Delivered {
		w.t.Fatalf("a late answer made a delivered message %s", now.State)
	} else if o := now.Attempts[a.job.Attempt].Outcome; was.Attempts[a.job.Attempt].Outcome == Unknown && !a.left && o == NotSent {
		l.unknown--
	}
	if w.one(3) {
		return // the same comes again
	}
	w.late = append(w.late[:i], w.late[i+1:]...)
}

// post sends receipts on their way: none, one, or two.
func (w *world) post(job Job, ref byte) {
	status := byte(0)
	if w.one(4) {
		status = 0x46
	}
	for range w.rng.IntN(3) {
		w.mail = append(w.mail, parcel{job, ref, status})
	}
}

func (w *world) deliver() {
	w.t.Helper()
	if len(w.mail) == 0 {
		return
	}
	i := w.rng.IntN(len(w.mail))
	p := w.mail[i]
	w.mail = append(w.mail[:i], w.mail[i+1:]...)
	w.receive(p.job, p.ref, p.status)
}

// crash restarts the daemon: what was in hand may or may not have left.
func (w *world) crash() {
	w.t.Helper()
	for name, job := range w.hands {
		l := w.all[job.Message.ID]
		if w.one(2) {
			l.aired++
			w.ref++
			w.post(job, w.ref)
		}
		l.unknown, l.onAir = l.unknown+1, 0
		delete(w.hands, name)
	}
	w.restart()
	w.announce()
}

func (w *world) cancel(id string) {
	w.t.Helper()
	err := w.try(func(tx *store.Tx) error { return Cancel(tx, id) })
	if err != nil && !errors.Is(err, ErrOver) {
		w.t.Fatal(err)
	}
	l := w.all[id]
	l.stopped = l.stopped || err == nil
}

// finish lets all senders work well, and time pass, until everything has its end.
func (w *world) finish() {
	w.t.Helper()
	for range 40 {
		for _, name := range w.names {
			if job, busy := w.hands[name]; busy {
				w.settle(job, sentAs(0))
				w.all[job.Message.ID].onAir--
				delete(w.hands, name)
			}
		}
		w.report(modem("a", "red"), modem("b", "blue"), modem("c", "red"))
		for _, name := range w.names {
			w.ask(name)
		}
		time.Sleep(20 * time.Second)
		w.expire()
	}
	w.coherent()
	for _, id := range w.ids {
		if m := w.get(id); !m.State.Final() {
			w.t.Errorf("an accepted message is %s for ever", m.State)
		} else if len(w.entries(id)) == 0 {
			w.t.Errorf("a message is %s without an entry", m.State)
		}
	}
}
