package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	crashes = flag.Int("crashes", 0, "how often TestCrash kills the daemon; packaging/test asks for some")
	seed    = flag.Uint64("seed", 0, "seed of TestCrash; 0 takes one from the clock and prints it")
)

// TestCrash kills the daemon, and at times the network or the TPM, in the middle of work, and proves
// after each restart: what was acknowledged is there, a notice was texted at most once, each code that
// arrived for a verification is the same and right, nothing is left in the middle, and the audit is
// whole and signed by this box.
func TestCrash(t *testing.T) {
	if *crashes == 0 {
		t.Skip("a soak: -crashes 8")
	}
	t.Parallel()
	if *seed == 0 {
		*seed = uint64(time.Now().UnixNano())
	}
	t.Logf("repeat with: go test ./cmd/pinwardd -run '^TestCrash$' -crashes %d -seed %d", *crashes, *seed)
	w, acc := whole(t, 4)
	w.onAir = 100 * time.Millisecond // so long that a crash meets most modems in the middle of a text
	w.kill(theNetwork)
	must(t, w.start(theNetwork))
	must(t, w.awaitReady())
	c := &crash{world: w, t: t, token: acc.Token, rng: rand.New(rand.NewPCG(*seed, 0))}
	var err error
	c.web, err = w.web()
	must(t, err)
	_, err = w.pinward(adminPassword+"\n", "login", "admin")
	must(t, err)
	c.admin, err = w.login()
	must(t, err)
	st, err := w.status()
	must(t, err)
	c.signer, c.entries = st.Signer, st.Entries

	for i := range *crashes {
		c.round(i)
		if t.Failed() {
			return
		}
	}
	for _, a := range c.all { // what a later crash may have done to what was proved before
		c.prove(a, false)
	}
	kinds := map[string]int{}
	for _, a := range c.all {
		kinds[a.kind]++
	}
	t.Logf("%d kills; acknowledged: %v; asked again after a crash: %d; notices of unknown outcome: %d", c.kills, kinds, c.again.Load(), c.unknown)
	if len(kinds) != 4 {
		t.Errorf("not every kind of work was under way: %v", kinds)
	}
}

// crash is one run of TestCrash.
type crash struct {
	*world
	t       *testing.T
	web     *http.Client
	token   string // of the client
	admin   string // session of the operator
	rng     *rand.Rand
	signer  string
	entries uint64
	kills   int
	unknown int

	numbers atomic.Int64 // each person has a number and a record of their own
	again   atomic.Int64 // requests that were sent again, because a crash had taken the answer

	mu  sync.Mutex
	all []acknowledged // guarded by mu
}

// The kinds of work.
const (
	aVerification = "verification"
	aNotice       = "notice"
	aContact      = "contact"     // an ADT^A04
	aRequest      = "HL7 request" // an ADT with the segment that starts a verification
)

// acknowledged is what the box has said yes to: 201 or AA.
type acknowledged struct {
	kind   string
	id     string // of the record; for HL7 the patient's number
	number string
}

// round works until the crash, lets it come back, finishes the work, and proves all of it.
func (c *crash) round(i int) {
	var stop atomic.Bool
	var working sync.WaitGroup
	from := len(c.all)
	for k, work := range []func(n int) (acknowledged, error){
		c.verify, c.verify, c.notice, c.notice, c.notice, c.notice, c.admit, c.request,
	} {
		pause := rand.New(rand.NewPCG(*seed, uint64(i*100+k+1)))
		working.Go(func() {
			for !stop.Load() {
				a, err := work(int(c.numbers.Add(1)))
				if err != nil {
					c.t.Errorf("round %d: %v", i, err)
					return
				}
				if a.kind != "" {
					c.mu.Lock()
					c.all = append(c.all, a)
					c.mu.Unlock()
				}
				time.Sleep(time.Duration(50+pause.IntN(100)) * time.Millisecond)
			}
		})
	}
	c.pause(50, 400)
	c.strike()
	err := c.awaitReady()
	stop.Store(true)
	working.Wait()
	if err != nil {
		c.t.Fatalf("round %d: the box does not come back: %v", i, err)
	}
	c.drain()
	for _, a := range c.all[from:] {
		c.prove(a, true)
	}
	c.audit()
}

// pause lets some time pass, in milliseconds.
func (c *crash) pause(min, max int) {
	time.Sleep(time.Duration(min+c.rng.IntN(max-min)) * time.Millisecond)
}

// strike kills and starts again. The order is that of chance, too: the TPM can go first, the network
// can come back last.
func (c *crash) strike() {
	victims := [][]string{
		{theBox}, {theBox}, {theBox}, {theBox}, {theNetwork, theBox}, {theBox, theNetwork},
		{theTPM, theBox}, {theBox, theNetwork, theTPM}, {theNetwork}, {theTPM},
	}[c.rng.IntN(10)]
	if c.kills == 0 {
		victims = []string{theBox}
	}
	c.t.Logf("kill %s", strings.Join(victims, ", "))
	for _, name := range victims {
		c.kill(name)
		c.kills++
		if c.rng.IntN(2) == 0 {
			c.pause(0, 50)
		}
	}
	for _, name := range []string{theTPM, theNetwork} {
		if slices.Contains(victims, name) {
			must(c.t, c.start(name))
		}
	}
	if !slices.Contains(victims, theBox) {
		return
	}
	for c.rng.IntN(3) == 0 { // once more, while it comes up
		must(c.t, c.launch(theBox, c.command(theBox)...))
		c.pause(0, 300)
		c.kill(theBox)
		c.kills++
	}
	must(c.t, c.start(theBox))
}

func number(n int) string { return fmt.Sprintf("+1617%07d", 2300000+n) }

// post asks until there is an answer: a client does not know what became of a request whose
// connection broke, and sends it again under the same key. Refusals of the moment are no error.
func (c *crash) post(path, key string, body, v any) (accepted bool, err error) {
	for end := time.Now().Add(readyWithin); ; time.Sleep(10 * time.Millisecond) {
		err := call(c.web, c.token, http.MethodPost, "https://"+c.https+path, body, v, "Idempotency-Key", key)
		refused, answered := errors.AsType[*statusError](err)
		switch {
		case err == nil:
			return true, nil
		case answered && refused.code == http.StatusServiceUnavailable && strings.Contains(refused.body, "busy"):
			return false, nil
		case answered && refused.code != http.StatusServiceUnavailable && refused.code != http.StatusConflict:
			return false, err
		case time.Now().After(end):
			return false, fmt.Errorf("no answer: %w", err)
		}
		c.again.Add(1)
	}
}

func (c *crash) verify(n int) (acknowledged, error) {
	var v struct{ ID string }
	to := number(n)
	ok, err := c.post("/v1/verifications", to, map[string]string{"service": "patient-signup", "to": to, "channel": "sms"}, &v)
	if !ok {
		return acknowledged{}, err
	}
	return acknowledged{aVerification, v.ID, to}, nil
}

func (c *crash) notice(n int) (acknowledged, error) {
	var v struct{ ID string }
	to := number(n)
	slots := map[string]string{"site": "Main Pharmacy", "phone": "617-555-1000"}
	ok, err := c.post("/v1/notices", to, map[string]any{"template": "prescription.ready", "to": to, "slots": slots}, &v)
	if !ok {
		return acknowledged{}, err
	}
	return acknowledged{aNotice, v.ID, to}, nil
}

// deliver sends a message as an engine does: the same one until it has its acknowledgment.
func (c *crash) deliver(message string) error {
	for end := time.Now().Add(readyWithin); ; time.Sleep(10 * time.Millisecond) {
		reply, err := c.send(message)
		switch {
		case err == nil && strings.Contains(reply, "\rMSA|AA|"):
			return nil
		case err == nil:
			return fmt.Errorf("a good message got %q", reply)
		case time.Now().After(end):
			return fmt.Errorf("no acknowledgment: %w", err)
		}
		c.again.Add(1)
	}
}

func (c *crash) admit(n int) (acknowledged, error) {
	mrn, to := fmt.Sprint("M", n), number(n)
	return acknowledged{aContact, mrn, to}, c.deliver(admit("A"+mrn, mrn, to[2:]))
}

func (c *crash) request(n int) (acknowledged, error) {
	mrn, to := fmt.Sprint("M", n), number(n)
	return acknowledged{aRequest, mrn, to}, c.deliver(admit("Z"+mrn, mrn, to[2:]) + "ZNT|1|OTP^patient-signup|REQ-" + mrn + "|SMS|en\n")
}

// drain waits until no message is under way. One that is due later, as a code is that a crash cut off, is in
// no lane; one that is sending and in no modem's hand stays so for ever.
func (c *crash) drain() {
	c.t.Helper()
	var v struct {
		Lanes []struct {
			Due   int
			OnAir int `json:"on_air"`
		}
	}
	under := map[string]int{}
	err := c.await(theBox, func() bool {
		clear(under)
		if err := call(c.control(), c.admin, http.MethodGet, "http://control/outbox", nil, &v); err != nil {
			c.t.Error(err)
			return true
		}
		for _, l := range v.Lanes {
			under["due"] += l.Due
			under["on air"] += l.OnAir
		}
		for _, state := range []string{"queued", "sending"} {
			var list struct{ Items []struct{ ID string } }
			c.get("/v1/messages?state="+state, &list)
			under[state] = len(list.Items)
		}
		return c.t.Failed() || under["due"]+under["on air"]+under["queued"]+under["sending"] == 0
	})
	if err != nil {
		c.t.Fatalf("the outbox does not drain: %v, %v", err, under)
	}
}

// get reads what the box knows.
func (c *crash) get(path string, v any) {
	c.t.Helper()
	if err := call(c.web, c.token, http.MethodGet, "https://"+c.https+path, nil, v); err != nil {
		c.t.Errorf("what was acknowledged is not there: %s: %v", path, err)
	}
}

// prove holds the box to its word. While it is fresh a code is also checked.
func (c *crash) prove(a acknowledged, fresh bool) {
	c.t.Helper()
	switch a.kind {
	case aVerification:
		var v struct {
			To    string
			Sends []struct{ Status string }
		}
		c.get("/v1/verifications/"+a.id, &v)
		if v.To != a.number || len(v.Sends) != 1 {
			c.t.Errorf("a verification is not what was acknowledged: %d sends", len(v.Sends))
		}
		if code := c.code(a); fresh && code != "" {
			var checked struct{ Valid bool }
			if _, err := c.post("/v1/verifications/"+a.id+"/check", "check-"+a.id, map[string]string{"code": code}, &checked); err != nil || !checked.Valid {
				c.t.Errorf("the code that arrived is not right: %v", err)
			}
		}
	case aNotice:
		c.proveNotice(a, fresh)
	default:
		var v struct{ Numbers []struct{ To string } }
		c.get("/v1/contacts?authority=HOSP&mrn="+a.id, &v)
		if len(v.Numbers) != 1 || v.Numbers[0].To != a.number {
			c.t.Errorf("a contact is not what was acknowledged: %d numbers", len(v.Numbers))
		}
		if a.kind == aRequest {
			c.code(a)
		}
	}
}

// code is the one that arrived. It may have come more than once, if a hand-over was cut off; then it
// is the same each time.
func (c *crash) code(a acknowledged) string {
	c.t.Helper()
	list, err := c.awaitTexts(a.number, 1)
	must(c.t, err)
	codes := map[string]bool{}
	last := ""
	for _, m := range list {
		last = sixDigits.FindString(m.Text)
		codes[last] = true
	}
	if len(codes) != 1 || last == "" {
		c.t.Errorf("%s: %d texts arrived with %d codes", a.kind, len(list), len(codes))
	}
	return last
}

func (c *crash) proveNotice(a acknowledged, fresh bool) {
	c.t.Helper()
	var v struct{ To, Status string }
	c.get("/v1/notices/"+a.id, &v)
	if v.To != a.number {
		c.t.Error("a notice is not what was acknowledged")
	}
	want := 1
	if v.Status == "unknown" {
		want = 0
	}
	list, err := c.awaitTexts(a.number, want)
	must(c.t, err)
	switch {
	case len(list) > 1:
		c.t.Errorf("a notice was texted %d times", len(list))
	case v.Status == "unknown": // it was on air at the crash: it may have arrived, and is not repeated
		if fresh {
			c.unknown++
		}
	case v.Status != "sent" && v.Status != "delivered":
		c.t.Errorf("a notice is %s", v.Status)
	}
}

// audit verifies the log offline, with the signer from commissioning. It never becomes shorter.
func (c *crash) audit() {
	c.t.Helper()
	if _, err := c.pinward("", "audit", "verify", "--signer", c.signer); err != nil {
		c.t.Error(err)
	}
	st, err := c.status()
	must(c.t, err)
	if st.Entries < c.entries || st.Signer != c.signer {
		c.t.Errorf("%d entries, %d before; signer %s, %s before", st.Entries, c.entries, st.Signer, c.signer)
	}
	c.entries = st.Entries
}
