package hl7

import (
	"strings"
	"testing"
)

// admission is an ADT of about 2 KB, written for this test.
var admission = []byte(header + strings.ReplaceAll(`
EVN|A04|20260101120000-0500|||REG1^Clerk^Ann^^^^^^DH|20260101115500-0500
PID|1||100234^^^DH&1.2.840.999.1&ISO^MR~900-11-2233^^^SSA&2.16.840.1.113883.4.1&ISO^SS||Example^Ella^Q^^Ms^^L||19800229|F||2106-3^White^HL70005|12 Test Street^Apt 3^Springfield^MA^01101^USA^H~PO Box 9^^Springfield^MA^01101^USA^M|HAMPDEN|^PRN^PH^^1^617^5551234~^PRS^CP^^1^617^5554321~^NET^Internet^ella@example.org|^WPN^PH^^1^617^5559876^12|eng^English^ISO639-2|M^Married^HL70002|CHR|V100987^^^DH&1.2.840.999.1&ISO^VN|||||||N||||||N
PD1||||4711^Primary^Paula^^^Dr^MD^^DH|||||||02^Reminder/recall-any method^HL70215|N|20250101
NK1|1|Example^Edward^^^Mr|SPO^Spouse^HL70063|12 Test Street^Apt 3^Springfield^MA^01101^USA|^PRN^PH^^1^617^5551234|^WPN^PH^^1^617^5557654|EC^Emergency contact^HL70131
PV1|1|O|CLINIC1^ROOM2^BED3^DH^^N^MAIN^2^South|R|||4711^Primary^Paula^^^Dr^MD^^DH|4712^Refer^Rita^^^Dr^MD^^DH|4713^Consult^Carl^^^Dr^MD^^DH|MED||||7|A0||4711^Primary^Paula^^^Dr^MD^^DH|OUT|V100987^^^DH^VN|SELF|||||||||||||||||||||DH||ACTIVE|||20260101120000-0500
PV2|||^ANNUAL VISIT|||||20260101|20260101|||ROUTINE||||||||||||||N
OBX|1|NM|8867-4^Heart rate^LN||72|/min^per minute^UCUM|60-100|N|||F|||20260101115800-0500
OBX|2|NM|8302-2^Body height^LN||170|cm^centimeter^UCUM||N|||F|||20260101115800-0500
AL1|1|DA^Drug allergy^HL70127|^PENICILLIN|MO^Moderate^HL70128|Hives|20100101
DG1|1||Z00.00^General adult examination^I10||20260101|A
GT1|1|G1|Example^Ella^Q||12 Test Street^Apt 3^Springfield^MA^01101^USA|^PRN^PH^^1^617^5551234||19800229|F|P/F|SEL
IN1|1|BC1^Blue Sample^L|BC|Blue Sample Health|1 Plan Way^^Boston^MA^02110^USA||^WPN^PH^^1^800^5551000|GRP77|Sample Group|||20250101|20261231|||Example^Ella^Q|SEL^Self^HL70063|19800229|12 Test Street^Apt 3^Springfield^MA^01101^USA
ZNT|1|OTP^portal-login|REQ-123|SMS|en|20260101120000-0500|300
`, "\n", "\r"))

var benchPaths = [...]Path{MustPath("PID-3.1"), MustPath("PID-13[2].7"), MustPath("PV1-3.4")}

// BenchmarkParse is the goal of DESIGN section 10: parse and three path reads of a
// 2 KB ADT, at least 50,000 a second on one core.
func BenchmarkParse(b *testing.B) {
	b.SetBytes(int64(len(admission)))
	b.ReportAllocs()
	for b.Loop() {
		m, err := Parse(admission)
		if err != nil {
			b.Fatal(err)
		}
		for _, p := range benchPaths {
			if p.Value(m).String() == "" {
				b.Fatal("nothing found")
			}
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// BenchmarkWalk reads every value of the message.
func BenchmarkWalk(b *testing.B) {
	m := parse(b, string(admission))
	b.ReportAllocs()
	for b.Loop() {
		walk(m)
	}
}

func BenchmarkAck(b *testing.B) {
	m := parse(b, string(admission))
	b.ReportAllocs()
	for b.Loop() {
		if len(Ack(m, AckOptions{Now: ackTime})) == 0 {
			b.Fatal("no acknowledgment")
		}
	}
}

// TestAllocations: finding and reading plain values allocates nothing; a parse only
// the message, its text and its index.
func TestAllocations(t *testing.T) {
	m := parse(t, string(admission))
	if n := testing.AllocsPerRun(100, func() {
		for _, p := range benchPaths {
			_ = p.Value(m).String()
		}
		_ = m.Get("PID-13[2].7")
		for s := range m.All("OBX") {
			_ = s.Field(5).Raw()
		}
		_, _, _ = m.Type()
	}); n != 0 {
		t.Errorf("reading allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { _, _ = Parse(admission) }); n > 3 {
		t.Errorf("parsing allocates %v times, want 3 at most", n)
	}
}
