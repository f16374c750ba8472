package daemon

import (
	"bytes"
	"context"
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/daemon/limit"
	"pinward/daemon/notice"
	"pinward/daemon/otp"
	"pinward/daemon/text"
	"pinward/store"
)

// elsewhere are the tables with blinded values that TestFlowRotateIndex does not fill: the tests of their
// rooms do, in stores that are strict.
var elsewhere = []string{
	"acceptance.lines", "acceptance.passed", "api.answers", "api.answers.written", "intake.held", "intake.requests", "intake.seen", "modem.voice", "notice.questions", "otp.requests",
	"outbox.judgements", "outbox.suspects",
}

// rawKeys are the keys of a store that nobody has open, by bucket.
func (f *flow) rawKeys() map[string][][]byte {
	f.t.Helper()
	db, err := bolt.Open(filepath.Join(f.box.storePath(), "pinward.db"), 0o600, &bolt.Options{ReadOnly: true})
	f.must(err)
	keys := map[string][][]byte{}
	f.must(db.View(func(tx *bolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bolt.Bucket) error {
			return b.ForEach(func(k, _ []byte) error {
				keys[string(name)] = append(keys[string(name)], bytes.Clone(k))
				return nil
			})
		})
	}))
	f.must(db.Close())
	return keys
}

// TestFlowRotateIndex: of all blinded values that stood in keys of the file, none stands in any key of the
// new one, at whatever place; and what was under them is found: a code that is on its way is checked, a
// token opens, a patient has her number, a limit is used up.
func TestFlowRotateIndex(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		v, err := f.start()
		f.must(err)
		got := f.texts(1, 5*time.Second)[0]
		w := fillForIndex(f)
		f.close()
		before := f.rawKeys()
		f.open()
		f.must(f.store.RotateIndex(t.Context(), self))
		if !f.check(v.ID, code(got)) {
			t.Error("the code that was on its way is not accepted")
		}
		w.find(f)
		f.close()
		after := f.rawKeys()
		f.open()
		w.find(f)

		blinded := map[[16]byte]string{}
		var empty []string
		for name, at := range store.BlindedTables() {
			n := 0
			for _, k := range before["t/"+name] {
				for _, i := range at {
					if len(k) >= i+16 {
						blinded[[16]byte(k[i:])] = name
						n++
					}
				}
			}
			if n == 0 {
				empty = append(empty, name)
			}
		}
		if slices.Sort(empty); !slices.Equal(empty, elsewhere) {
			t.Errorf("tables whose blinded values were not there to be seen: %q", empty)
		}
		for bucket, keys := range after {
			for _, k := range keys {
				for i := range max(0, len(k)-15) {
					if name, was := blinded[[16]byte(k[i:])]; was {
						t.Fatalf("a blinded value of %s stands in a key of %s", name, bucket)
					}
				}
			}
		}
		t.Logf("%d blinded values in %d tables", len(blinded), len(slices.Compact(slices.Sorted(maps.Values(blinded)))))
	})
}

// indexWorld is what a flow is filled with, to be found again.
type indexWorld struct {
	patient contact.SubjectID
	visit   contact.AppointmentID
	placer  contact.AppointmentID // of the same visit
	phone   contact.Phone
	budget  limit.Budget
	token   string
	session string
	came    time.Time // when a person of the directory did first
}

// loginByDirectory logs somebody in whom a directory knows.
func loginByDirectory(f *flow, tx *store.Tx) error {
	d := &access.Directory{Tries: 4, Rules: access.GroupRules{access.Nurse: {"cn=nurses"}}, Login: func(context.Context, string, string) (access.Answer, error) {
		return access.Answer{OK: true, Shown: true, Person: access.Person{ID: "6a646f65", Name: "jdoe", Groups: []string{"cn=nurses"}}}, nil
	}}
	a, err := access.BeginLogin(tx, d, "jdoe", "192.0.2.1")
	f.must(err)
	p, err := a.Prove(f.t.Context(), nil, "right")
	f.must(err)
	_, _, err = access.EndLogin(tx, a, p)
	return err
}

// fillForIndex writes into every room under names, numbers and tokens.
func fillForIndex(f *flow) *indexWorld {
	f.t.Helper()
	w := &indexWorld{patient: contact.SubjectID{Authority: "T", MRN: "7"}, visit: contact.AppointmentID{Authority: "T", Number: "9"}, placer: contact.AppointmentID{Authority: "P", Number: "9"}, budget: limit.Budget{Name: "test", Max: 1, Window: time.Hour}}
	f.must(f.store.Update(f.t.Context(), store.Actor{Kind: "user", ID: "admin"}, func(tx *store.Tx) (err error) {
		w.phone, err = contact.ParsePhone("+16175551271", contact.Plan{})
		f.must(err)
		_, err = contact.Upsert(tx, contact.SubjectUpdate{ID: w.patient, Phones: &[]contact.Number{{Phone: w.phone}}})
		f.must(err)
		if _, err := contact.NameAppointment(tx, w.placer, w.visit, true); err != nil {
			return err
		}
		_, _, err = contact.Book(tx, contact.Appointment{ID: w.visit, Subject: w.patient, Start: tx.Now().Add(48 * time.Hour)})
		f.must(err)
		f.must(contact.Flag(tx, w.phone, contact.Flags{NoVoice: new(true)}, "desk"))
		f.must(limit.Take(tx, w.budget, w.phone.E164()))
		_, err = limit.Fail(tx, limit.Triple{Number: w.phone, Service: "portal-login", Class: limit.Public})
		f.must(err)
		c, _, err := access.CreateClient(tx, "portal", []access.Role{access.Portal})
		f.must(err)
		_, w.token, err = access.CreateKey(tx, c.SID, "token", true)
		f.must(err)
		_, err = access.CreateUser(tx, "jane", access.PasswordHash{Iterations: 1, Salt: []byte("salt"), Hash: []byte("hash")}, []access.Role{access.Nurse})
		f.must(err)
		_, w.session, err = access.Login(tx, "jane", "192.0.2.1", true)
		f.must(err)
		w.came = tx.Now()
		f.must(loginByDirectory(f, tx))
		slots := text.Values{}
		slots.SetSite("Main")
		slots.SetPhone("617-555-1000")
		_, _, err = notice.Send(tx, notice.Request{Template: "prescription.ready", To: w.phone, Subject: w.patient, Group: "g", Key: "k", Slots: slots, Mode: contact.Live})
		return err
	}))
	in := inbox{store: f.store, log: f.log, own: f.own}
	f.must(in.text(f.t.Context(), "sim", modemText("+16175551272", "STOP texting me", 7, 1, 2)))
	f.must(f.network.Handset("+16175551273").Reply("STOP", f.modems[0].Name()))
	time.Sleep(time.Minute)
	sim := f.modems[0].ICCID()
	f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) error {
		_, err := beginTest(tx, selfTest{Token: "TOKEN", SIM: sim, Modem: "m1", To: w.phone})
		f.must(err)
		_, err = beginPIN(tx, sim, "1234", 3)
		f.must(err)
		f.must(tested.Put(tx, testedKey(tx, sim), selfTest{SIM: sim}))
		f.must(balances.Put(tx, testedKey(tx, sim), balance{At: tx.Now()}))
		for _, number := range []string{"+16175551274", "+16175551275", "+16175551276"} { // more than the modem takes at once
			to, err := contact.ParsePhone(number, contact.Plan{})
			f.must(err)
			_, err = otp.Start(tx, otp.StartRequest{Service: "portal-login", To: to, Channel: otp.ChannelAuto, Client: "AC", Mode: contact.Live})
			f.must(err)
		}
		return nil
	}))
	return w
}

// find looks everything up under its name.
func (w *indexWorld) find(f *flow) {
	f.t.Helper()
	f.must(f.store.View(f.t.Context(), func(tx *store.Tx) error {
		s, ok, err := contact.Find(tx, w.patient)
		if err != nil || !ok || len(s.Phones) != 1 {
			f.t.Errorf("the patient: %v, %v", ok, err)
		}
		if ids, err := contact.SubjectsOf(tx, w.phone); err != nil || len(ids) != 1 || ids[0] != w.patient {
			f.t.Errorf("who has the number: %d, %v", len(ids), err)
		}
		if id, err := contact.NameAppointment(tx, w.placer, contact.AppointmentID{}, false); err != nil || id != w.visit {
			f.t.Errorf("the visit goes by its placer's id no more: %v", err)
		}
		if list, err := contact.AppointmentsBetween(tx, w.patient, tx.Now(), tx.Now().AddDate(0, 0, 7)); err != nil || len(list) != 1 {
			f.t.Errorf("appointments: %d, %v", len(list), err)
		}
		if left, _, err := limit.Peek(tx, w.budget, w.phone.E164()); err != nil || left != 0 {
			f.t.Errorf("the budget has %d left, %v", left, err)
		}
		if _, err := access.AuthenticateToken(tx, w.token); err != nil {
			f.t.Errorf("the token: %v", err)
		}
		if _, _, _, err := access.FindSession(tx, w.session); err != nil {
			f.t.Errorf("the session: %v", err)
		}
		if _, err := notice.FindKey(tx, "g", "k"); err != nil {
			f.t.Errorf("the notice: %v", err)
		}
		return nil
	}))
	// Who is of the directory is known again by the id that it gives them.
	f.must(f.store.Update(f.t.Context(), self, func(tx *store.Tx) error {
		f.must(loginByDirectory(f, tx))
		if u, err := access.FindUser(tx, "jdoe"); err != nil || !u.Created.Equal(w.came) {
			f.t.Errorf("who is of the directory came at %s and not at %s, %v", u.Created, w.came, err)
		}
		return nil
	}))
}
