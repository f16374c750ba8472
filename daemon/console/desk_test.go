package console

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/consent"
	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/daemon/outbox/outboxtest"
	"pinward/daemon/text"
	"pinward/store"
)

// TestDesk is a nurse's main way: number, wrong code, right code.
func TestDesk(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	p.get("/").want(200).says(`<option value="prescription-pickup" selected>Prescription pickup`, `<option value="es">Español`, "Staff login (staff)").hides("Billing")
	id := p.post("/verifications", "number", "617 555 1234", "service", "patient-signup", "locale", "es").leads()
	if !strings.HasPrefix(id, "/verifications/VE") {
		t.Fatalf("a start leads to %s", id)
	}
	p.get(id).want(200).says("(617) 555-1234", "waiting for the code", `class="boxes c6"`, "5 tries left", `<iframe src="`+id+`/status"`)
	p.get(id+"/status").want(200).says("waiting for a modem", `content="2"`, "Valid for <b>")
	code := b.Code()
	p.get(id+"/status").want(200).says("taken by the network", "m1")

	to := p.post(id+"/check", "code", outboxtest.Wrong(code)).leads()
	p.get(to).want(200).says("That code was wrong. 4 tries are left.", "4 tries left")
	to = p.post(id+"/check", "code", " "+code[:3]+" "+code[3:]).leads()
	p.get(to).want(200).says("Confirmed.", "This person holds the phone", "Next patient", "taken by the network").hides("<iframe", "/check")
	p.get(id + "/status").want(200).says("This verification is over: <b>confirmed</b>")
	p.post(id+"/check", "code", code).want(422).says("This verification is over", "Confirmed.")
	start := b.Entries(otp.ActionStart)
	if len(start) != 1 || start[0].Actor.ID != "nurse" || start[0].Actor.Kind != "user" {
		t.Errorf("the start is on record as %v", start)
	}
	if strings.Contains(p.get(id).Body.String(), code) {
		t.Error("a page shows the code")
	}
}

// TestDeskOfPatient: a record number finds the number, and a page of the patient leads to the desk.
func TestDeskOfPatient(t *testing.T) {
	b := newBox(t)
	b.patient()
	p := b.login(access.Nurse)
	p.post("/contacts", "mrn", patient.MRN).want(200).says("Send a code to this patient", `name="mrn" value="MR-4711"`)
	p.post("/", "mrn", patient.MRN).want(200).says(`class="large" value="MR-4711"`)
	id := p.post("/verifications", "mrn", patient.MRN, "service", "prescription-pickup").leads()
	p.get(id).want(200).says("(617) 555-1234")
	// Staff had the patient before them: the number is proven from here on.
	to := p.post(id+"/check", "code", b.Code()).leads()
	p.get(to).want(200).says("Confirmed.")
	p.post("/contacts", "mrn", patient.MRN).want(200).hides("<td>no</td>")
}

// TestDeskRefused: each refusal is told in words, with the form as it was filled in.
func TestDeskRefused(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error {
		return consent.Set(tx, outboxtest.Phone("+16175552222"), text.Code, consent.Out, consent.SourceConsole)
	})
	b.Do(func(tx *store.Tx) error {
		return contact.Flag(tx, outboxtest.Phone("+16175553333"), contact.Flags{WrongNumber: new(true)}, "desk")
	})
	p := b.login(access.Nurse)
	for name, c := range map[string]struct {
		fields []string
		status int
		words  string
	}{
		"nothing":         {nil, 422, "Type a phone number, or the record number of a known patient."},
		"no number":       {[]string{"number", "five"}, 422, "This is no phone number that can be texted."},
		"foreign":         {[]string{"number", "+44 20 7946 0000"}, 422, "Foreign numbers are not allowed here."},
		"premium":         {[]string{"number", "900 555 1234"}, 422, "Premium numbers are not allowed."},
		"unknown patient": {[]string{"mrn", "unknown"}, 422, "No mobile number is on record for this patient."},
		"stopped codes":   {[]string{"number", "617 555 2222"}, 422, "This number has answered a code with STOP. Offer a call."},
		"wrong number":    {[]string{"number", "617 555 3333"}, 422, "it is the wrong one"},
		"no call":         {[]string{"number", patientNumber, "channel", "call"}, 422, "The code cannot go that way"},
		"no service":      {[]string{"number", patientNumber, "service", "gone"}, 422, "This service does not exist any more."},
		"reference":       {[]string{"number", patientNumber, "service", "lab-release"}, 422, "binds each code to a reference"},
		"unknown subject": {[]string{"number", patientNumber, "service", "lab-release", "reference", "order-7"}, 422, "This service needs a known patient."},
		"language":        {[]string{"number", patientNumber, "locale", "tlh"}, 422, "There is no text in this language."},
		"amount":          {[]string{"number", patientNumber, "service", "billing", "reference", "r"}, 422, "This service names an amount."},
	} {
		t.Run(name, func(t *testing.T) {
			b.T = t
			a := p.post("/verifications", append([]string{"service", "patient-signup"}, c.fields...)...).want(c.status).says(c.words, "Send the code")
			for i := 0; i+1 < len(c.fields); i += 2 {
				if f := c.fields[i]; f == "number" || f == "mrn" || f == "reference" {
					a.says(fmt.Sprintf(`value="%s"`, strings.ReplaceAll(c.fields[i+1], "+", "&#43;")))
				}
			}
		})
	}
	b.T = t
	causes := map[string]bool{}
	for _, r := range b.Entries(otp.ActionStart) {
		for _, a := range r.Entry.Attrs {
			if a.Key == "cause" {
				causes[a.Value] = true
			}
		}
	}
	for _, want := range []string{"number foreign", "number premium", "unknown service"} {
		if !causes[want] {
			t.Errorf("no entry with cause %q: %v", want, causes)
		}
	}
	if s := b.log.String(); s != "" {
		t.Errorf("log: %s", s)
	}
}

// TestDeskWithoutModem: the nurse is told when to try again, or what to do instead.
func TestDeskWithoutModem(t *testing.T) {
	b := newBox(t)
	b.Do(func(tx *store.Tx) error { return b.Report(tx, false) })
	b.login(access.Nurse).post("/verifications", "number", patientNumber, "service", "patient-signup").want(503).
		says("No modem could take a code within 10 seconds", "identify the patient in another way")
	if r := b.Entries(otp.ActionStart); len(r) != 1 || r[0].Entry.Outcome != store.Refused {
		t.Errorf("the refusal is on record as %v", r)
	}
}

// TestDeskActions: again, another way, cancel; and what no longer goes is told on the same page.
func TestDeskActions(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	id := p.post("/verifications", "number", patientNumber, "service", "patient-signup").leads()
	first := b.Code()
	p.post(id + "/resend").leads()
	if again := b.Code(); again != first {
		t.Error("a resend carries another code")
	}
	p.post(id+"/next").want(422).says("There is no other way to send it right now.", "(617) 555-1234")
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m2", SIM: "8902", Network: "south", Ready: true})
	})
	p.post(id + "/next").leads()
	for range 3 {
		p.post(id + "/resend").leads()
	}
	p.post(id + "/resend").want(429).says("The code has been sent as often as is allowed.")
	p.get(p.post(id+"/cancel").leads()).want(200).says("Not confirmed:", "cancelled", "Next patient")
	for _, verb := range []string{"/cancel", "/resend", "/next"} {
		p.post(id + verb).want(422).says("This verification is over")
	}
	p.post("/verifications/VE0/cancel").want(422).says("there is none at this address")
	p.get("/verifications/VE0").want(422).says("there is none at this address")
	p.get("/verifications/VE0/status").want(422)
}

// TestDeskTooManyCodes: after five wrong codes the page says so, and checks no more.
func TestDeskTooManyCodes(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	id := p.post("/verifications", "number", patientNumber, "service", "patient-signup").leads()
	code := b.Code()
	for range 4 {
		p.post(id+"/check", "code", outboxtest.Wrong(code)).leads()
	}
	p.get(id + "?wrong=1").want(200).says("1 try is left.")
	to := p.post(id+"/check", "code", outboxtest.Wrong(code)).leads()
	p.get(to).want(200).says("Not confirmed:", "too many wrong codes").hides("<iframe")
	p.post(id+"/check", "code", code).want(429).says("Too many wrong codes.")
	p.post("/verifications", "number", patientNumber, "service", "patient-signup").want(429).says("Too many wrong codes.")
}

// TestDeskExpired: at the end of its life the frame says so and stops loading itself.
func TestDeskExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBox(t)
		p := b.login(access.Nurse)
		id := p.post("/verifications", "number", patientNumber, "service", "patient-signup").leads()
		p.get(id + "/status").want(200).says("Valid for <b>5:00</b> more")
		time.Sleep(61 * time.Second)
		p.get(id + "/status").want(200).says("Valid for <b>3:59</b> more")
		time.Sleep(4 * time.Minute)
		b.Do(func(tx *store.Tx) error { return otp.Sweep(tx, func(_, _ time.Time) bool { return false }) })
		p.get(id + "/status").want(200).says("This verification is over: <b>expired</b>").hides("http-equiv")
		p.get(id).want(200).says("Not confirmed:", "expired")
	})
}

// TestDeskDiskFull: nothing new begins, what has begun goes on.
func TestDeskDiskFull(t *testing.T) {
	b := newBoxOn(t, func(string) (uint64, uint64, error) { return 1 << 20, 1 << 40, nil })
	p := b.login(access.Nurse)
	var v otp.Verification
	b.Do(func(tx *store.Tx) (err error) {
		v, err = otp.Start(tx, otp.StartRequest{Service: "patient-signup", To: outboxtest.Phone(patientNumber), Mode: contact.Live, Staff: true})
		return err
	})
	p.post("/verifications", "number", "617 555 9876", "service", "patient-signup").want(503).says("disk is full")
	to := p.post("/verifications/"+v.ID+"/check", "code", b.Code()).leads()
	p.get(to).want(200).says("Confirmed.")
}

// TestTroubleOfOurs: what has no words goes to the log, without the number, and the page says whom to
// tell.
func TestTroubleOfOurs(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	b.Do(func(tx *store.Tx) error {
		return contact.SetSite(tx, contact.Site{Brand: "Riverside 48291", Zone: "UTC", Mode: contact.Live})
	})
	p.post("/verifications", "number", patientNumber, "service", "patient-signup").want(500).says("please tell the IT desk").hides("slot")
	if s := b.log.String(); !strings.Contains(s, "slot brand") || strings.Contains(s, "5551234") {
		t.Errorf("log: %s", s)
	}
	if err := b.Store.Close(); err != nil {
		t.Fatal(err)
	}
	p.get("/").want(503).says("The box is just stopping.")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	before := b.log.String()
	b.handler.ServeHTTP(httptest.NewRecorder(), p.request("GET", "/messages").WithContext(gone))
	if after := b.log.String(); after != before {
		t.Errorf("a browser that is gone is in the log: %s", after[len(before):])
	}
}

// TestDeskCallsOnAClick: at a desk no call is made by itself; one button, shown where the number may be called and a modem calls, makes
// it with the same code.
func TestDeskCallsOnAClick(t *testing.T) {
	b := newBox(t)
	p := b.login(access.Nurse)
	id := p.post("/verifications", "number", patientNumber, "service", "prescription-pickup").leads()
	p.get(id).want(200).hides("Call instead") // no modem calls
	b.Do(func(tx *store.Tx) error {
		return outbox.Report(tx, outbox.Sender{Name: "m1", SIM: "8901", Network: "north", Ready: true, Voice: true, PartTime: time.Millisecond})
	})
	p.get(id).want(200).says("Call instead", id+"/call")
	if got := p.post(id + "/call").leads(); got != id {
		t.Fatalf("it leads to %q", got)
	}
	var v otp.Verification
	var tries []otp.Try
	b.Do(func(tx *store.Tx) (err error) {
		if v, err = otp.Get(tx, strings.TrimPrefix(id, "/verifications/")); err == nil {
			tries, err = otp.Tries(tx, v)
		}
		return err
	})
	if len(v.Sends) != 2 || v.Generation != 0 || tries[len(tries)-1].Channel != outbox.Call {
		t.Errorf("%d sends, generation %d, %v", len(v.Sends), v.Generation, tries)
	}
	b.Do(func(tx *store.Tx) error {
		return contact.Flag(tx, outboxtest.Phone("+16175551234"), contact.Flags{NoVoice: new(true)}, "patient")
	})
	p.get(id).want(200).hides("Call instead")
	p.post(id + "/call").want(422).says("not to be called")
}
