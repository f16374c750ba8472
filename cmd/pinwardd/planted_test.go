package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNothingIsWrittenDown runs the box through good and bad days with values that are planted, and
// then looks for them, in each form that a program could write them in, in all that it wrote: its
// log, every file of its folder, its metrics, status and health, an exported audit. None is there.
func TestNothingIsWrittenDown(t *testing.T) {
	t.Parallel()
	w, acc := whole(t, 2)
	p := &planted{world: w, t: t, token: acc.Token, values: map[string]string{
		"secret": acc.Secret, "token": acc.Token, "password": adminPassword,
	}}
	var err error
	p.web, err = w.web()
	must(t, err)
	out, err := w.pinward(adminPassword+"\n", "login", "admin")
	must(t, err)
	if strings.Contains(out, adminPassword) {
		t.Error("login shows the password")
	}
	out, err = w.pinward("", "log", "level", "debug") // at no level does the log hold a value
	must(t, err)
	p.answer.WriteString(out)
	p.live()
	p.bundle()
	w.kill(theBox) // what a crash leaves behind counts, too
	must(t, w.start(theBox))
	must(t, w.awaitReady())
	p.export()
	must(t, w.stop(theBox))
	must(t, w.stop(theNetwork))
	p.look()
}

// planted is a run with values that must not be found.
type planted struct {
	*world
	t      *testing.T
	web    *http.Client
	token  string
	values map[string]string // by what they are
	answer bytes.Buffer      // what monitors and operators were shown
}

const (
	plantedPhone  = "6172345678"
	plantedOther  = "6172349876" // of HL7
	plantedName   = "Quackenbush"
	plantedGiven  = "Zebulon"
	plantedRecord = "MRN4711-0815"
	plantedReply  = "please tell zebulon that the biopsy was fine"
	plantedRoom   = "Quillfeather Pavilion"
)

// live is a day of the box: what goes well and what goes wrong.
func (p *planted) live() {
	t := p.t
	for name, v := range map[string]string{
		"name": plantedName, "given name": plantedGiven, "record number": plantedRecord, "reply": plantedReply, "diagnosis": "biopsy", "place": plantedRoom,
	} {
		p.values[name] = v
	}
	// A verification, with a wrong and a right code.
	var v struct{ ID string }
	p.post(http.StatusCreated, "/v1/verifications", map[string]any{
		"service": "portal-login", "to": "+1 (617) 234-5678", "channel": "sms", "on_behalf_of": plantedName,
		"subject": map[string]string{"authority": "HOSP", "mrn": plantedRecord},
	}, &v)
	list, err := p.awaitTexts("+1"+plantedPhone, 1)
	must(t, err)
	code := sixDigits.FindString(list[0].Text)
	p.values["code"], p.values["text of the code"] = code, list[0].Text
	p.post(http.StatusOK, "/v1/verifications/"+v.ID+"/check", map[string]string{"code": "not it"}, nil)
	p.post(http.StatusOK, "/v1/verifications/"+v.ID+"/check", map[string]string{"code": code}, nil)
	p.post(http.StatusNotFound, "/v1/verifications/"+v.ID+"/check", map[string]string{"code": code}, nil)

	// A notice, one that no template allows, one to a number that is none, bodies that are wrong.
	slots := map[string]string{"site": plantedRoom, "phone": "617-555-1000"}
	p.post(http.StatusCreated, "/v1/notices", map[string]any{"template": "prescription.ready", "to": plantedPhone, "slots": slots}, nil)
	list, err = p.awaitTexts("+1"+plantedPhone, 2)
	must(t, err)
	p.values["text of the notice"] = list[1].Text
	p.post(http.StatusBadRequest, "/v1/notices", map[string]any{"template": "prescription.ready", "to": plantedPhone, "slots": map[string]string{"site": plantedReply, "pone": plantedName}}, nil)
	p.post(http.StatusNotFound, "/v1/notices", map[string]any{"template": plantedName, "to": plantedPhone}, nil)
	p.post(http.StatusUnprocessableEntity, "/v1/verifications", map[string]any{"service": "portal-login", "to": plantedPhone + plantedPhone}, nil)
	p.post(http.StatusNotFound, "/v1/verifications", map[string]any{"service": plantedName, "to": plantedPhone}, nil)
	p.post(http.StatusBadRequest, "/v1/verifications", map[string]any{"service": "portal-login", "to": plantedPhone, plantedGiven: plantedName}, nil)
	p.post(http.StatusBadRequest, "/v1/verifications", plantedName+plantedPhone, nil)
	p.get(http.StatusNotFound, "/v1/"+plantedPhone+"/"+plantedName)
	p.get(http.StatusNotFound, "/"+plantedPhone)
	stranger := *p
	stranger.token = plantedName + plantedPhone
	stranger.get(http.StatusUnauthorized, "/v1/services")

	// HL7: a patient, a visit, a request; then what is broken in every way.
	good := admit("A04-P", plantedRecord, plantedOther)
	for _, message := range []string{
		good, good + "ZNT|1|OTP^portal-login|REQ-1|SMS|en\n", strings.Replace(good, "ADT^A04^ADT_A01", "ORU^R01^ORU_R01", 1),
		strings.Replace(good, "HOSP^MR", "HOSP^MR~"+plantedName, 1),
		"PID|1||" + plantedRecord + "\n", strings.Replace(good, "MSH|^~", "MSH|^^", 1), strings.Replace(good, "2.5.1", plantedName, 1),
		strings.Replace(good, "ADT^A04^ADT_A01", plantedName+"^"+plantedPhone, 1), strings.Replace(good, "19700101", plantedPhone, 1),
	} {
		_, err := p.send(message) // an answer or a closed connection: both may be
		var refused *os.SyscallError
		if err != nil && !errors.Is(err, io.EOF) && !errors.As(err, &refused) {
			t.Error(err)
		}
	}
	_, err = p.awaitTexts("+1"+plantedOther, 1)
	must(t, err)
	p.get(http.StatusOK, "/v1/contacts?authority=HOSP&mrn="+plantedRecord)
	p.get(http.StatusNotFound, "/v1/contacts?authority="+plantedName+"&mrn="+plantedPhone)

	// What people write back, and modems that fail in the middle of a text.
	for _, reply := range []string{plantedReply, "STOP " + plantedName, "START", strings.Repeat(plantedReply+" ", 6)} {
		p.reply("+1"+plantedPhone, reply)
	}
	_, err = p.awaitTexts("+1"+plantedPhone, 3)
	must(t, err)
	for _, name := range []string{"modem1", "modem2"} {
		faults := map[string]any{"faults": map[string]any{"garbage": 2, "unplug_at": "pdu", "unplug_for": "500ms"}}
		must(t, call(http.DefaultClient, "", http.MethodPut, "http://"+p.phones+"/modems/"+name, faults, nil))
	}
	p.post(http.StatusCreated, "/v1/verifications", map[string]any{"service": "portal-login", "to": "+16172341111", "channel": "sms"}, nil)
	_, err = p.awaitTexts("+16172341111", 1)
	must(t, err)

	// The operator, right and wrong.
	for _, args := range [][]string{
		{"verify", "start", "+1" + plantedPhone}, {"send", plantedPhone, "--template", plantedName}, {"hl7", "explain", "mllp", "A04-P"},
		{"verify", "check", v.ID, code}, {"login", plantedName}, {plantedName},
	} {
		_, _ = p.pinward(plantedReply+"\n", args...) // whether it may is not the point
	}
}

func (p *planted) post(want int, path string, body, v any) {
	p.t.Helper()
	p.wanted(want, call(p.web, p.token, http.MethodPost, "https://"+p.https+path, body, v), path)
}

func (p *planted) get(want int, path string) {
	p.t.Helper()
	p.wanted(want, call(p.web, p.token, http.MethodGet, "https://"+p.https+path, nil, nil), path)
}

func (p *planted) wanted(want int, err error, path string) {
	p.t.Helper()
	got := http.StatusOK
	if e, ok := errors.AsType[*statusError](err); ok {
		got = e.code
	} else if err != nil {
		p.t.Fatal(err)
	}
	if got != want && (got != http.StatusOK || want/100 != 2) {
		p.t.Errorf("%s: %d, want %d: %v", path, got, want, err)
	}
}

// reply sends a text back to the hospital.
func (p *planted) reply(from, text string) {
	p.t.Helper()
	must(p.t, call(http.DefaultClient, "", http.MethodPost, "http://"+p.phones+"/handsets/"+from+"/messages", map[string]string{"text": text}, nil))
}

// export takes in what a monitor, an operator and an auditor are shown.
func (p *planted) export() {
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/v1/health"} {
		req, err := http.NewRequest(http.MethodGet, "https://"+p.https+path, nil)
		must(p.t, err)
		req.Header.Set("Authorization", "Bearer "+p.token)
		resp, err := p.web.Do(req)
		must(p.t, err)
		_, err = io.Copy(&p.answer, resp.Body)
		must(p.t, err)
		resp.Body.Close()
	}
	// Without anybody on call a check would warn.
	policy := filepath.Join(p.t.TempDir(), "alarms.json")
	must(p.t, os.WriteFile(policy, []byte(`{"alarms": {"on_call": [{"name": "night", "phone": "+16175551271"}], "steps": [{"by": "sms", "to": ["night"]}]}}`), 0o600))
	for _, args := range [][]string{{"config", "apply", policy, "--yes"}, {"status"}, {"--json", "status"}, {"check"}, {"outbox"}, {"audit", "export", p.path("bundle")}} {
		out, err := p.pinward("", args...)
		must(p.t, err)
		p.answer.WriteString(out)
	}
}

// bundle takes in what would be sent to support.
func (p *planted) bundle() {
	file := p.path("box.tar.gz")
	out, err := p.pinward("", "doctor", "--config", p.path("pinward.toml"), "--bundle", file)
	must(p.t, err)
	p.answer.WriteString(out)
	unpacked, err := exec.Command("tar", "xzOf", file).Output()
	must(p.t, err)
	if !bytes.Contains(unpacked, []byte("pinward_build_info")) || !bytes.Contains(unpacked, []byte("goroutine ")) {
		p.t.Error("the bundle lacks what the daemon gives")
	}
	p.answer.Write(unpacked)
}

// look searches all that is left for all that was planted.
func (p *planted) look() {
	written := map[string][]byte{"what monitors and operators were shown": p.answer.Bytes()}
	must(p.t, filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		written[strings.TrimPrefix(path, p.dir+"/")] = b
		return err
	}))
	for _, must := range []string{"box.log", "network.log", "state/store/pinward.db", "state/tpm.json", "bundle/checkpoint.note"} {
		if len(written[must]) == 0 {
			p.t.Errorf("%s is not among what was looked through: %d files", must, len(written))
		}
	}
	var forms []form
	for what, v := range p.values {
		forms = append(forms, formsOf(what, v)...)
	}
	for _, number := range []string{plantedPhone, plantedOther, "6172341111"} {
		forms = append(forms, formsOfNumber(number)...)
	}
	for name, b := range written {
		b = lower(b)
		for _, f := range forms {
			if bytes.Contains(b, lower(f.bytes)) {
				p.t.Errorf("%s holds a %s", name, f.what)
			}
		}
	}
	p.t.Logf("%d files, %d forms", len(written), len(forms))
}

// lower turns the capitals of ASCII small, and leaves all other octets as they are: most of these
// files are no text.
func lower(b []byte) []byte {
	b = bytes.Clone(b)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}

// form is one way to write a value down.
type form struct {
	what  string
	bytes []byte
}

// formsOf are the ways to write a text: as it is, in UTF-16, packed as septets (23.038) in hex and
// in octets, in hex, and in base64 wherever in a longer text it stands.
func formsOf(what, v string) []form {
	f := []form{{what, []byte(v)}, {what + " in hex", []byte(hex.EncodeToString([]byte(v)))}}
	var wide []byte
	for _, r := range v {
		wide = append(wide, byte(r>>8), byte(r))
	}
	f = append(f, form{what + " in UCS-2", wide}, form{what + " in UCS-2 and hex", []byte(hex.EncodeToString(wide))})
	if packed := septets(v); len(packed) > 4 {
		whole := packed[:len(packed)-1] // the last octet may be shared with what follows
		f = append(f, form{what + " in septets", whole}, form{what + " in septets and hex", []byte(hex.EncodeToString(whole))})
	}
	for shift := range 3 {
		b := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("\x00", shift) + v))
		if begin, end := (shift*8+5)/6, len(strings.TrimRight(b, "="))-1; end-begin >= 7 {
			f = append(f, form{what + " in base64", []byte(b[begin:end])})
		}
	}
	return f
}

// septets packs the letters and digits that GSM 7 bit shares with ASCII.
func septets(v string) []byte {
	var out []byte
	bits, n := uint(0), uint(0)
	for _, c := range []byte(v) {
		bits |= uint(c&0x7f) << n
		for n += 7; n >= 8; n -= 8 {
			out = append(out, byte(bits))
			bits >>= 8
		}
	}
	if n > 0 {
		out = append(out, byte(bits))
	}
	return out
}

// formsOfNumber are the notations of a number: as digits, as people write it, and as a TPDU holds it,
// two digits swapped in each octet (23.040, 9.1.2.3).
func formsOfNumber(d string) []form {
	var f []form
	for _, v := range []string{
		d, d[:3] + "-" + d[3:6] + "-" + d[6:], "(" + d[:3] + ") " + d[3:6] + "-" + d[6:], d[:3] + "." + d[3:6] + "." + d[6:],
		d[:3] + " " + d[3:6] + " " + d[6:], d[3:6] + "-" + d[6:], d[:3] + "%20" + d[3:], d[:3] + "^" + d[3:],
	} {
		f = append(f, formsOf("number as "+strings.Repeat("x", len(v)), v)...)
	}
	for _, digits := range []string{"1" + d + "F", d} {
		var swapped []byte
		for i := 0; i+1 < len(digits); i += 2 {
			swapped = append(swapped, digits[i+1], digits[i])
		}
		octets, err := hex.DecodeString(string(swapped))
		if err != nil {
			panic(err) // digits and F
		}
		f = append(f, form{"number as in a TPDU", octets}, form{"number as in a TPDU and hex", swapped})
	}
	return f
}

// TestFormsOfPlantedValues: the search finds what it is looking for.
func TestFormsOfPlantedValues(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		forms []form
		in    string
	}{
		{formsOfNumber(plantedPhone), "AT+CMGS=23\r0011000B916171325476F80000AA"},
		{formsOfNumber(plantedPhone), "to=+1" + plantedPhone},
		{formsOfNumber(plantedPhone), "(617) 234-5678"},
		{formsOf("text", "hellohello"), "0AE8329BFD4697D9EC37"},
		{formsOf("name", plantedName), base64.StdEncoding.EncodeToString([]byte("PID|" + plantedName + "^" + plantedGiven))},
		{formsOf("name", plantedName), base64.StdEncoding.EncodeToString([]byte("^" + plantedName + "^" + plantedGiven))},
		{formsOf("name", plantedName), fmt.Sprintf("%x", plantedName)},
		{formsOf("name", plantedName), strings.ToUpper(plantedName)},
	} {
		found := false
		for _, f := range c.forms {
			found = found || strings.Contains(strings.ToLower(c.in), strings.ToLower(string(f.bytes)))
		}
		if !found {
			t.Errorf("not found in %q", c.in)
		}
	}
}
