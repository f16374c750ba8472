package record

import (
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/store"
)

var repo = &Repository{Box: "box-1", Site: "HOSP", Host: "appliance-1", Format: FormatDICOM}

func told1(e store.Entry, by store.Actor) store.Record {
	if e.Outcome == 0 {
		e.Outcome = store.OK
	}
	return store.Record{Seq: 7, Time: time.Date(2026, 11, 22, 2, 30, 0, 123_000_000, time.UTC), Actor: by, Entry: e}
}

// only makes the one audit message of an entry, read back from its XML.
func only(t *testing.T, rec store.Record, about About) (m auditMessage, text string) {
	t.Helper()
	list := repo.messages(rec, about)
	if len(list) != 1 {
		t.Fatalf("%d messages of %s", len(list), rec.Entry.Action)
	}
	text, err := list[0].text()
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal([]byte(strings.TrimPrefix(text, bom)), &m); err != nil {
		t.Fatal(err)
	}
	return m, text
}

func details(o participantObject) map[string]string {
	m := map[string]string{}
	for _, d := range o.Details {
		b, _ := base64.StdEncoding.DecodeString(d.Value)
		m[d.Type] = string(b)
	}
	return m
}

// TestAuditMessageSchema writes every action with each outcome and holds the XML against the schema of DICOM PS3.15 A.5.1, and where it is
// asked for against that of RFC 3881. Neither takes the other's.
func TestAuditMessageSchema(t *testing.T) {
	program, err := exec.LookPath("xmllint")
	if err != nil {
		t.Fatal("xmllint is not installed: this test needs it (Debian: apt-get install libxml2-utils)")
	}
	valid := func(schema string, files ...string) (n int, said string) {
		out, _ := exec.Command(program, append([]string{"--noout", "--relaxng", schema}, files...)...).CombinedOutput()
		return strings.Count(string(out), " validates"), string(out)
	}
	schemas := map[string]string{SchemaDICOM: "testdata/audit-message.rng", SchemaRFC3881: "testdata/audit-message-rfc3881.rng"}
	for schema, file := range schemas {
		t.Run(schema, func(t *testing.T) {
			files := everyMessage(t, schema)
			if n, said := valid(file, files...); n != len(files) || n < 3*80 {
				t.Fatalf("%d of %d files hold: %.2000s", n, len(files), said)
			}
			for other, file := range schemas {
				if n, _ := valid(file, files...); other != schema && n > 0 {
					t.Errorf("%d of them hold as %s as well", n, other)
				}
			}
			// The check can fail: a message without its source does not hold.
			text, _ := os.ReadFile(files[0])
			if err := os.WriteFile(files[0], regexp.MustCompile(`<AuditSource.*</AuditSourceIdentification>`).ReplaceAll(text, nil), 0o600); err != nil {
				t.Fatal(err)
			}
			if n, _ := valid(file, files[0]); n > 0 {
				t.Error("a message without its source validates")
			}
		})
	}
}

// everyMessage writes what a repository gets of every action with each outcome into files.
func everyMessage(t *testing.T, schema string) (files []string) {
	dir, r := t.TempDir(), *repo
	r.Schema = schema
	for action := range auditEvents {
		for _, outcome := range []store.Outcome{store.OK, store.Refused, store.Failed} {
			rec := told1(store.Entry{Action: action, Outcome: outcome, Object: "a <b>&\n\"c\" \x00\xff", Subject: "HOSP|1<2", Attrs: []store.Attr{
				a("cause", "no <number>\n"), a("phone", "+16175551234"), a("address", "192.0.2.7"), a("loser", "HOSP|9"), a("sender", "modem1"),
			}}, store.Actor{Kind: "client", ID: "AC<1>", OnBehalfOf: "Dr. \"Ü\""})
			for _, m := range r.messages(rec, About{Phone: phone("+16175551234")}) {
				frame, err := r.frame(rec.Time, m)
				if err != nil {
					t.Fatal(err)
				}
				_, text, ok := strings.Cut(frame, bom)
				name := filepath.Join(dir, string(action)+outcome.String()+m.Event.Action+".xml")
				if err := os.WriteFile(name, []byte(text), 0o600); err != nil || !ok {
					t.Fatal(err, frame)
				}
				files = append(files, name)
			}
		}
	}
	return files
}

// TestAuditMessageOfRFC3881: the names of that schema, and nothing is lost of what was refused.
func TestAuditMessageOfRFC3881(t *testing.T) {
	r := *repo
	r.Schema = SchemaRFC3881
	rec := told1(store.Entry{Action: "hl7.peer.refused", Outcome: store.Refused, Attrs: []store.Attr{a("address", "192.0.2.66"), a("cause", "no certificate")}},
		store.Actor{Kind: "peer", ID: "epic"})
	list := r.messages(rec, About{})
	text, err := r.frame(rec.Time, list[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"IHE+RFC-3881", `<EventID code="110113" codeSystemName="DCM" displayName="Security Alert">`,
		`<EventTypeCode code="110126" codeSystemName="DCM" displayName="Node Authentication">`, `<AuditSourceIdentification AuditEnterpriseSiteID="HOSP" AuditSourceID="box-1"><AuditSourceTypeCode code="4"`,
		`<ParticipantObjectIDTypeCode code="12" codeSystemName="RFC-3881" displayName="URI">`, detail("cause", "no certificate").Value,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	for _, not := range []string{"csd-code", "originalText", "EventOutcomeDescription"} {
		if strings.Contains(text, not) {
			t.Errorf("%s in %s", not, text)
		}
	}
	if again, _ := r.frame(rec.Time, list[0]); again != text {
		t.Error("a message that is written twice differs")
	}
	if list[0].Event.ID.Code != "110113" || list[0].Event.Why == "" || list[0].Objects[0].IDType.Code != "110182" {
		t.Errorf("the message itself was changed: %+v", list[0])
	}
}

func TestAuditMessageOfAText(t *testing.T) {
	about := About{Subject: contact.SubjectID{Authority: "HOSP", MRN: "12345"}, Phone: phone("+16085551201"), OnBehalfOf: "jdoe"}
	m, text := only(t, told1(store.Entry{Action: "message.sent", Object: "SM1", Attrs: []store.Attr{a("ref", "VE1"), a("sender", "modem1"), a("sim", "8901000000000000001")}},
		store.Actor{Kind: "daemon", ID: "modem1"}), about)
	if m.Event.ID.Code != "110106" || m.Event.Action != "R" || m.Event.Outcome != 0 || m.Event.At != "2026-11-22T02:30:00.123Z" {
		t.Errorf("event %+v", m.Event)
	}
	if len(m.Participants) != 3 || m.Participants[0].UserID != "jdoe" || !m.Participants[0].Requestor {
		t.Fatalf("participants %+v", m.Participants)
	}
	if to := m.Participants[2]; to.Point != "+1608*****01" || to.PointType != 3 || to.Roles[0].Code != "110152" || to.Requestor {
		t.Errorf("destination %+v", to)
	}
	if p := m.Objects[0]; p.ID != "12345^^^HOSP^MR" || p.TypeCode != 1 || p.Role != 1 || p.IDType.Code != "2" {
		t.Errorf("patient %+v", p)
	}
	if strings.Contains(text, "6085551201") || strings.Contains(text, "8901000000000000001") {
		t.Error("a number leaves in full")
	}
	if m.Source.ID != "box-1" || m.Source.Site != "HOSP" || details(m.Objects[1])["audit-entry"] != "7" {
		t.Errorf("source %+v, %+v", m.Source, m.Objects[1])
	}
}

func TestAuditMessagesFollowTheReference(t *testing.T) {
	peer := store.Actor{Kind: "peer", ID: "epic"}
	for name, c := range map[string]struct {
		e              store.Entry
		by             store.Actor
		id, kind, do   string
		outcome, first int
	}{
		"start":   {store.Entry{Action: "daemon.start"}, store.Actor{Kind: "daemon", ID: "daemon"}, "110100", "110120", "E", 0, 0},
		"login":   {store.Entry{Action: "user.login", Object: "mary", Outcome: store.Refused, Attrs: []store.Attr{a("address", "192.0.2.9")}}, store.Actor{Kind: "daemon", ID: "console"}, "110114", "110122", "E", 4, 0},
		"refused": {store.Entry{Action: "hl7.peer.refused", Outcome: store.Refused, Attrs: []store.Attr{a("address", "192.0.2.66"), a("why", "no certificate")}}, peer, "110113", "110126", "E", 4, 0},
		"admit":   {store.Entry{Action: "hl7.message", Object: "MSG1", Subject: "HOSP|1", Attrs: []store.Attr{a("type", "ADT^A01")}}, peer, "110110", "ITI-8", "C", 0, 0},
		"update":  {store.Entry{Action: "hl7.message", Object: "MSG1", Subject: "HOSP|1", Attrs: []store.Attr{a("type", "ADT^A08")}}, peer, "110110", "ITI-8", "U", 0, 0},
		"result":  {store.Entry{Action: "hl7.message", Object: "MSG1", Subject: "HOSP|1", Attrs: []store.Attr{a("type", "ORU^R01")}}, peer, "110107", "hl7.message", "C", 0, 0},
		"read":    {store.Entry{Action: "audit.search", Attrs: []store.Attr{a("phone", "+16175551234")}}, nurse, "110101", "audit.search", "R", 0, 0},
		"policy":  {store.Entry{Action: "site.change"}, nurse, "110113", "110129", "E", 0, 0},
		"stopped": {store.Entry{Action: "store.unwritten", Outcome: store.Failed, Attrs: []store.Attr{a("since", "2026-11-22T02:00:00Z")}}, store.Actor{Kind: "daemon", ID: "store"}, "110113", "110133", "E", 8, 0},
		"started": {store.Entry{Action: "store.written"}, store.Actor{Kind: "daemon", ID: "store"}, "110113", "110134", "E", 0, 0},
		"newer":   {store.Entry{Action: "something.new", Outcome: store.Failed}, nurse, "110100", "something.new", "E", 8, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m, text := only(t, told1(c.e, c.by), About{})
			if m.Event.ID.Code != c.id || m.Event.Types[0].Code != c.kind || m.Event.Action != c.do || m.Event.Outcome != c.outcome {
				t.Errorf("event %+v", m.Event)
			}
			if n := len(slices.DeleteFunc(slices.Clone(m.Participants), func(p activeParticipant) bool { return !p.Requestor })); n != 1 {
				t.Errorf("%d asked", n)
			}
			if strings.Contains(text, "+16175551234") {
				t.Error("a number leaves in full")
			}
			switch name {
			case "stopped":
				if details(m.Objects[0])["since"] != "2026-11-22T02:00:00Z" {
					t.Errorf("object %+v", m.Objects[0])
				}
			case "login":
				if p := m.Participants[0]; p.UserID != "mary" || p.Point != "192.0.2.9" || p.PointType != 2 {
					t.Errorf("participant %+v", p)
				}
			case "refused":
				if o := m.Objects[0]; o.ID != "192.0.2.66" || o.IDType.Code != "110182" || details(o)["Alert Description"] != "no certificate" {
					t.Errorf("object %+v", o)
				}
			case "admit":
				if details(m.Objects[0])["MSH-10"] != "MSG1" {
					t.Errorf("patient %+v", m.Objects[0])
				}
			case "read":
				if o := m.Objects[0]; o.Name != "Security Audit Log" || o.Role != 13 || details(o)["phone"] != "+1617*****34" {
					t.Errorf("object %+v", o)
				}
			}
		})
	}
}

// TestMergeIsTwoAuditMessages: A40 is a record deleted and one updated.
func TestMergeIsTwoAuditMessages(t *testing.T) {
	list := repo.messages(told1(store.Entry{Action: "subject.merge", Subject: "HOSP|1", Attrs: []store.Attr{a("loser", "HOSP|2")}}, portal), About{})
	if len(list) != 2 || list[0].Event.Action != "D" || list[0].Objects[0].ID != "2^^^HOSP^MR" || list[1].Event.Action != "U" || list[1].Objects[0].ID != "1^^^HOSP^MR" {
		t.Fatalf("%d messages", len(list))
	}
}

// TestAuditFrame: the header of RFC 5424 as IHE wants it, the same for the same entry.
func TestAuditFrame(t *testing.T) {
	rec := told1(store.Entry{Action: "site.change"}, nurse)
	one, err := repo.frame(rec.Time, repo.messages(rec, About{})[0])
	if err != nil {
		t.Fatal(err)
	}
	const want = "<85>1 2026-11-22T02:30:00.123000Z appliance-1 pinward - IHE+RFC-3881 - \ufeff<?xml version=\"1.0\" encoding=\"UTF-8\"?><AuditMessage>"
	if !strings.HasPrefix(one, want) {
		t.Errorf("frame %.200q", one)
	}
	if again, _ := repo.frame(rec.Time, repo.messages(rec, About{})[0]); again != one {
		t.Error("an entry that is sent twice differs")
	}
}

// TestWhatNeverLeaves: what is on no list stays, in both forms, and an entry whose key was dropped still
// tells what was done.
func TestWhatNeverLeaves(t *testing.T) {
	e := store.Entry{Action: "verification.start", Object: "VE1 for +16175551234", Subject: mary.Key(), Attrs: []store.Attr{
		a("phone", "+16175551234"), a("reference", "planted-1"), a("payee", "planted-2"), a("amount", "planted-3"), a("token", "planted-4"),
		a("code", "planted-5"), a("text", "planted-6"), a("name", "planted-7"), a("service", "portal-login"), a("new_key", "planted-8"), a("why", "planted-9"),
		a("cause", "to +16175551234"),
	}}
	rec := told1(e, store.Actor{Kind: "patient", ID: "+16175551234"})
	_, text := only(t, rec, About{Phone: phone("+16175551234")})
	line, err := repo.line(rec, About{Phone: phone("+16175551234")})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range regexp.MustCompile(`value="([^"]*)"`).FindAllStringSubmatch(text, -1) {
		b, _ := base64.StdEncoding.DecodeString(d[1])
		text += string(b) + "\n"
	}
	for _, out := range []string{text, line} {
		if strings.Contains(out, "planted") || strings.Contains(out, "5551234") {
			t.Errorf("it says %s", out)
		}
		if !strings.Contains(out, "portal-login") || !strings.Contains(out, "+1617*****34") {
			t.Errorf("it does not say what it may: %s", out)
		}
	}
	var j map[string]any
	if err := json.Unmarshal([]byte(line), &j); err != nil || j["seq"] != 7.0 || j["subject"] != "RIV|42" || j["event"] != "Order Record" || strings.Count(line, "\n") != 1 {
		t.Errorf("line %s, %v", line, err)
	}
	gone := store.Record{Seq: 8, Time: rec.Time, Entry: store.Entry{Action: "notice.send", Outcome: store.OK}, Shredded: true}
	gone.Header.Actor = [16]byte{1, 2}
	if m, _ := only(t, gone, About{}); m.Participants[0].UserID != "01020000000000000000000000000000" {
		t.Errorf("participants %+v", m.Participants)
	}
}
