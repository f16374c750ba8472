package intake

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/hl7"
	"pinward/store"
)

// sendFrom gives a message to the intake as it comes by a connection.
func (b *box) sendFrom(conn hl7.Peer, message string) ack {
	b.T.Helper()
	reply, err := b.in.Handle(context.Background(), conn, []byte(b.message(message)))
	if err != nil {
		b.T.Fatal(err)
	}
	return b.parse(reply)
}

func from(addr, pin, subject string) hl7.Peer {
	return hl7.Peer{Addr: netip.AddrPortFrom(netip.MustParseAddr(addr), 4000), CertSPKI: pin, CertSubject: subject, TLS: pin != ""}
}

var enginePeers = []Peer{
	{Name: "epic", Addresses: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}},
	{Name: "lab", Pins: []string{"aa11"}},
	{Name: "rx", Subjects: []string{"CN=rx"}, Addresses: []netip.Prefix{netip.MustParsePrefix("10.9.9.9/32")}},
}

func newPeerBox(t *testing.T, mode contact.Mode, policy map[string]PeerPolicy) *box {
	b := newBoxIn(t, Listener{Name: "adt", Mode: mode, Peers: enginePeers})
	b.policy(Policy{Peers: policy})
	return b
}

// TestPeers lets a message in by address, certificate and names, and turns all others away with AR 207
// and no word of why.
func TestPeers(t *testing.T) {
	names := PeerPolicy{
		Apps: []string{"EPIC", "LAB^1.2.3^ISO"}, Facilities: []string{"RIVERSIDE"},
		ReceivingApps: []string{"PINWARD"}, ReceivingFacilities: []string{"BOX"},
	}
	for name, c := range map[string]struct {
		conn     hl7.Peer
		from, to string // MSH-3|MSH-4 and MSH-5|MSH-6
		want     string // the peer; "" for none
	}{
		"by address":                 {from("10.1.2.3", "", ""), "EPIC|RIVERSIDE", "PINWARD|BOX", "epic"},
		"another address":            {from("10.2.2.3", "", ""), "EPIC|RIVERSIDE", "PINWARD|BOX", ""},
		"by pin":                     {from("192.0.2.1", "aa11", "CN=x"), "A|B", "C|D", "lab"},
		"another pin":                {from("192.0.2.1", "aa12", "CN=x"), "A|B", "C|D", ""},
		"by subject and address":     {from("10.9.9.9", "bb", "CN=rx"), "A|B", "C|D", "rx"},
		"its subject elsewhere":      {from("10.9.9.8", "bb", "CN=rx"), "A|B", "C|D", ""},
		"its address, other subject": {from("10.9.9.9", "bb", "CN=ry"), "A|B", "C|D", ""},
		"another application":        {from("10.1.2.3", "", ""), "OTHER|RIVERSIDE", "PINWARD|BOX", ""},
		"names are of exact case":    {from("10.1.2.3", "", ""), "Epic|RIVERSIDE", "PINWARD|BOX", ""},
		"first component of an HD":   {from("10.1.2.3", "", ""), "EPIC^9.9^ISO|RIVERSIDE", "PINWARD|BOX", "epic"},
		"the whole HD":               {from("10.1.2.3", "", ""), "LAB^1.2.3^ISO|RIVERSIDE", "PINWARD|BOX", "epic"},
		"an HD with another id":      {from("10.1.2.3", "", ""), "LAB^1.2.4^ISO|RIVERSIDE", "PINWARD|BOX", ""},
		"another facility":           {from("10.1.2.3", "", ""), "EPIC|HILL", "PINWARD|BOX", ""},
		"for another application":    {from("10.1.2.3", "", ""), "EPIC|RIVERSIDE", "MIRTH|BOX", ""},
		"for another facility":       {from("10.1.2.3", "", ""), "EPIC|RIVERSIDE", "PINWARD|HILL", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newPeerBox(t, contact.Live, map[string]PeerPolicy{"epic": names})
			msh := `MSH|^~\&|` + c.from + "|" + c.to + "|" + time.Now().Format("20060102150405-0700") + "||ADT^A04|C1|P|2.5.1"
			a := b.sendFrom(c.conn, msh+"\nEVN|A04\n"+jane)
			if c.want == "" {
				if a.code != hl7.AR || !strings.Contains(a.raw, "|207^") || strings.Contains(a.raw, "allow") {
					t.Errorf("answered %q", a.raw)
				}
				if b.in.Counts().Refused != 1 || b.count(ActionRefusePeer) != 1 {
					t.Errorf("counts %+v, entries %v", b.in.Counts(), b.count(ActionRefusePeer))
				}
				if got := b.numbers("4711"); len(got) != 0 {
					t.Errorf("kept %d numbers of a stranger's message", len(got))
				}
				return
			}
			if a.code != hl7.AA {
				t.Fatalf("answered %q", a.raw)
			}
			b.View(func(tx *store.Tx) error {
				found, err := Explain(tx, c.want, "C1")
				if len(found) != 1 {
					t.Errorf("%d explanations under %s", len(found), c.want)
				}
				return err
			})
		})
	}
}

// TestSecretOfPeer: a message without the password of MSH-8 is nobody's, and the password is shown nowhere.
func TestSecretOfPeer(t *testing.T) {
	const secret = "correct-horse-8"
	l := Listener{Name: "adt", Mode: contact.Live, Peers: []Peer{{Name: "epic", Secret: secret}}}
	b := newBoxIn(t, l)
	for given, code := range map[string]hl7.AckCode{secret: hl7.AA, "": hl7.AR, "correct-horse-9": hl7.AR, secret + "0": hl7.AR} {
		msh := strings.Replace(header("ADT^A04", fmt.Sprintf("S%x", []byte(given)), time.Now()), "||ADT^A04", "|"+given+"|ADT^A04", 1)
		if a := b.sendFrom(from("10.1.2.3", "", ""), msh+"\n"+jane); a.code != code || strings.Contains(a.raw, "|"+secret+"|") {
			t.Errorf("with a password of %d letters: answered %s", len(given), a.code)
		}
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		if s := fmt.Sprintf(format, l); strings.Contains(s, "horse") || strings.Contains(s, fmt.Sprintf("%x", "horse")) {
			t.Errorf("%s shows it", format)
		}
	}
	for _, e := range b.Entries() {
		if s := fmt.Sprintf("%+v", e); strings.Contains(s, "horse") {
			t.Errorf("entry %s shows it", e.Entry.Action)
		}
	}
}

// TestReusedIsRefused: by the site's rule a control ID that comes again with another message is AE 205,
// and so it stays; the first message again is still AA.
func TestReusedIsRefused(t *testing.T) {
	b := newPeerBox(t, contact.Live, map[string]PeerPolicy{"epic": {Reused: "AE"}})
	epic, at := from("10.1.2.3", "", ""), time.Now()
	first := header("ADT^A04", "7", at) + "\n" + jane
	second := header("ADT^A04", "7", at) + "\n" + strings.Replace(jane, "6175551234", "6175554321", 1)
	for i, c := range []struct {
		in   string
		code hl7.AckCode
	}{{first, hl7.AA}, {second, hl7.AE}, {first, hl7.AA}, {second, hl7.AE}} {
		a := b.sendFrom(epic, c.in)
		if a.code != c.code || c.code == hl7.AE && !strings.Contains(a.raw, "|205^") {
			t.Errorf("message %d answered %q", i, a.raw)
		}
	}
	if got := b.numbers("4711"); len(got) != 1 || got[0] != "+16175551234" {
		t.Error("the refused message changed the number")
	}
}

// TestStrangersFillNoAudit: whoever tries all night leaves an entry for 1, 2, 4, 8 ... tries.
func TestStrangersFillNoAudit(t *testing.T) {
	b := newPeerBox(t, contact.Live, nil)
	for range 100 {
		b.sendFrom(from("192.0.2.9", "", ""), "ADT^A04\n"+jane)
	}
	if got := b.count(ActionRefusePeer); got != 7 {
		t.Errorf("%d entries for 100 tries, want 7", got)
	}
	var s strangers
	for i := range 3 * maxStrangers {
		s.count(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))
	}
	if len(s.by) > maxStrangers+1 {
		t.Errorf("%d addresses are counted apart", len(s.by))
	}
}

// TestPeerPolicy plays what is set for one peer, and that another's messages are not touched by it.
func TestPeerPolicy(t *testing.T) {
	b := newPeerBox(t, contact.Live, map[string]PeerPolicy{"epic": {
		Types: []string{"SIU", "ADT^A04"}, Processing: []string{"P", "T"}, ACK: "enhanced", Unknown: "AR", YesMeans: "share",
		Zone: "America/Los_Angeles", Charset: "8859/1",
	}})
	epic, lab := from("10.1.2.3", "", ""), from("192.0.2.1", "aa11", "")
	mode := func(msh, id string) string { return strings.Replace(msh, "|P|2.5.1", "|"+id+"|2.5.1", 1) }
	msh := func(kind, id string) string { return header(kind, id, time.Now()) }
	for name, c := range map[string]struct {
		conn hl7.Peer
		in   string
		code hl7.AckCode
		err  string
	}{
		"a type on the list":            {epic, msh("ADT^A04", "1") + "\n" + jane, hl7.AA, ""},
		"an event that is not":          {epic, msh("ADT^A08", "2") + "\n" + jane, hl7.AR, "|200^"},
		"every event of a type":         {epic, msh("SIU^S18", "3"), hl7.AR, "|200^"}, // no rule: AR by Unknown
		"unknown to another peer is AA": {lab, msh("SIU^S18", "3"), hl7.AA, ""},
		"training is taken":             {epic, mode(msh("ADT^A04", "4"), "T") + "\n" + jane, hl7.AA, ""},
		"debugging is not":              {epic, mode(msh("ADT^A04", "5"), "D") + "\n" + jane, hl7.AR, "|202^"},
		"training from another is not":  {lab, mode(msh("ADT^A04", "6"), "T") + "\n" + jane, hl7.AR, "|202^"},
		"enhanced":                      {epic, msh("ADT^A04", "7") + "|||AL\n" + jane, hl7.CA, ""},
		"original to another":           {lab, msh("ADT^A04", "8") + "|||AL\n" + jane, hl7.AA, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if a := b.sendFrom(c.conn, c.in); a.code != c.code || !strings.Contains(a.raw, c.err) {
				t.Errorf("answered %q", a.raw)
			}
		})
	}
	b.sendFrom(epic, msh("ADT^A04", "9")+"\n"+jane+"\nPD1||||||||||||Y")
	if s, _ := b.subject("4711"); s.NoTexts {
		t.Error("PD1-12 = Y of a peer that shares by it forbids texts")
	}
	b.sendFrom(lab, msh("ADT^A08", "10")+"\n"+jane+"\nPD1||||||||||||Y")
	if s, _ := b.subject("4711"); !s.NoTexts {
		t.Error("PD1-12 = Y of a peer that protects by it allows texts")
	}
	start := time.Now().AddDate(0, 0, 5).Format("20060102") + "0915"
	b.sendFrom(epic, msh("SIU^S12", "11")+"\nSCH||A77|||||||||^^^"+start+"\n"+jane)
	pacific, _ := time.LoadLocation("America/Los_Angeles")
	want, _ := time.ParseInLocation("200601021504", start, pacific)
	b.View(func(tx *store.Tx) error {
		a, _, err := contact.FindAppointment(tx, contact.AppointmentID{Authority: "EPIC", Number: "A77"})
		if !a.Start.Equal(want) {
			t.Errorf("a start without zone is %s, want %s", a.Start, want)
		}
		return err
	})
}

// TestReport tells counts, the last message, errors and reasons of each peer, over a restart.
func TestReport(t *testing.T) {
	b := newPeerBox(t, contact.Live, nil)
	epic := from("10.1.2.3", "", "")
	b.sendFrom(epic, "ADT^A08\n"+jane)
	b.sendFrom(epic, "ADT^A60\n"+jane)
	b.sendFrom(epic, "SIU^S12\n"+jane) // no SCH
	report := func() PeerReport {
		t.Helper()
		var found PeerReport
		b.View(func(tx *store.Tx) error {
			list, err := b.in.Report(tx)
			if len(list) != 3 {
				t.Errorf("%d peers", len(list))
			}
			for _, r := range list {
				if r.Peer == "epic" {
					found = r
				}
			}
			return err
		})
		return found
	}
	check := func(r PeerReport) {
		t.Helper()
		if r.Messages != 3 || r.Acted != 1 || r.Ignored != 1 || r.Refused != 1 || r.LastType != "SIU^S12" || time.Since(r.Last) > time.Minute ||
			!strings.Contains(r.ErrorWhy, "SCH") || r.Reasons[noRule] != 1 || r.Mode != "live" {
			t.Errorf("reported %+v", r)
		}
	}
	check(report())
	if err := b.in.Keep(context.Background()); err != nil {
		t.Fatal(err)
	}
	check(report())
	b.listen(Listener{Name: "adt", Mode: contact.Live, Peers: enginePeers})
	check(report())
	b.sendFrom(epic, "ADT^A08\n"+jane)
	if r := report(); r.Messages != 4 {
		t.Errorf("%d messages after a restart, want 4", r.Messages)
	}
	var s PeerState
	for i := range 3 * maxReasons {
		s.because(strings.Repeat("x", i), 1)
	}
	if len(s.Reasons) != maxReasons+1 || s.Reasons["other"] != 2*maxReasons {
		t.Errorf("%d reasons", len(s.Reasons))
	}
}

// TestPeerPolicyIsChecked when it is set.
func TestPeerPolicyIsChecked(t *testing.T) {
	for name, p := range map[string]PeerPolicy{
		"reused": {Reused: "AR"}, "ack": {ACK: "CA"}, "zone": {Zone: "Mars/Olympus"}, "yes": {YesMeans: "perhaps"}, "unknown": {Unknown: "AE"}, "local": {Zone: "Local"},
	} {
		if err := (Policy{Peers: map[string]PeerPolicy{"epic": p}}).validate(); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
