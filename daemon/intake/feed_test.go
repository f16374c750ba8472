package intake

import (
	"fmt"
	"time"
)

// The feed of a hospital's morning, of messages of about 2 KB, each about another patient but those that
// move or cancel a visit booked 160 messages before. Of twenty messages six register a patient, six
// update one, two come from the master index, three book a visit, one moves one, one cancels one, and
// one is a result. Names and numbers are made up.
const (
	feedRound = 20
	feedBack  = 8 * feedRound // how far back the visit was booked that is moved or cancelled
)

// feedEvents are the events of a round, in their order.
var feedEvents = [feedRound]string{
	"A04", "A08", "S12", "A04", "A08", "A31", "A04", "A08", "S12", "R01",
	"A04", "A08", "S13", "A04", "A08", "S12", "A04", "A08", "S15", "A31",
}

// The places of the round whose bookings are moved and cancelled later.
const (
	feedMoved     = 2
	feedCancelled = 8
)

// feed is message n of kind "mix", or one that repeats one event, "A04" or "S12".
func feed(kind string, n uint64, at time.Time) []byte { return appendFeed(nil, kind, n, at) }

// appendFeed is feed behind what stands in b: who sends shares the processors with who is measured.
func appendFeed(b []byte, kind string, n uint64, at time.Time) []byte {
	event, patient := kind, n
	if kind == "mix" {
		event = feedEvents[n%feedRound]
		switch event {
		case "S13":
			patient = n - n%feedRound + feedMoved - min(feedBack, n-n%feedRound)
		case "S15":
			patient = n - n%feedRound + feedCancelled - min(feedBack, n-n%feedRound)
		}
	}
	line := func(format string, args ...any) { b = append(fmt.Appendf(b, format, args...), '\r') }
	id, stamp := fmt.Sprint(n), at.Format("20060102150405-0700")
	switch event[0] {
	case 'S':
		line("%s", header("SIU^"+event+"^SIU_S12", id, at))
		start, status := at.Add(72*time.Hour+time.Duration(n%8)*time.Hour).Truncate(time.Hour).Add(15*time.Minute), "BOOKED"
		if event == "S15" {
			status = "CANCELLED"
		}
		line("SCH|P%d^EPIC|F%d^EPIC||||CHECKUP^Check-up|ROUTINE^Routine visit|OFFICE^Office visit|30|MIN|^^30^%s|||||1234^HOUSE^GREGORY|||||REG1^CLERK^ANN|||||%s",
			patient, patient, ts(start), status)
	case 'R':
		line("%s", header("ORU^R01^ORU_R01", id, at))
	default:
		line("%s", header("ADT^"+event+"^ADT_A01", id, at))
		line("EVN|%s|%s|||REG1^CLERK^ANN^^^^^^RIV|%s", event, stamp, stamp)
	}
	line("PID|1||%d^^^RIV^MR~900-11-%04d^^^SSA^SS||DOE^JANE^Q^^MS^^L||19700101|F||2106-3^White^HL70005|1 ELM ST^^BOSTON^MA^02110^USA^H~PO BOX 9^^BOSTON^MA^02110^USA^M|SUFFOLK|(617)%03d-%04d^PRN^CP~^NET^Internet^jane%d@example.org|(617)%03d-%04d^WPN^PH|en^English^ISO639|M^Married^HL70002|CHR|A%d^^^RIV^VN|||||||N||||||N",
		patient, patient%10000, 200+patient%700, 2000+patient%7000, patient, 200+(patient+350)%700, 2000+(patient*7)%7000, patient)
	line("PD1|||RIVERSIDE^^4711|1234^HOUSE^GREGORY^^^DR^MD^^RIV|||||||02^Reminder/recall-any method^HL70215|N|20250101")
	line("NK1|1|DOE^JOHN^^^MR|SPO^Spouse^HL70063|1 ELM ST^^BOSTON^MA^02110^USA|^PRN^PH^^1^617^5559876|^WPN^PH^^1^617^5557654|EC^Emergency contact^HL70131")
	line("PV1|1|O|CLINIC^ROOM2^BED3^RIV^^N^MAIN^2^SOUTH|R|||1234^HOUSE^GREGORY^^^DR^MD^^RIV|4712^REFER^RITA^^^DR^MD^^RIV|4713^CONSULT^CARL^^^DR^MD^^RIV|MED||||7|A0||1234^HOUSE^GREGORY^^^DR^MD^^RIV|OUT|V%d^^^RIV^VN|SELF|||||||||||||||||||||RIV||ACTIVE|||%s", patient, stamp)
	switch event[0] {
	case 'S':
		line("RGS|1|A|CLINIC^Clinic")
		line("AIS|1|A|OFFICE^Office visit^L|%s|||30|MIN||BOOKED", "")
		line("AIL|1|A|CLINIC^ROOM2^^RIV|OFF^Office^L")
		line("AIP|1|A|1234^HOUSE^GREGORY^^^DR^MD^^RIV|ATT^Attending^L")
	case 'R':
		line("ORC|RE|O%d^EPIC|F%d^LAB||CM||||%s|||1234^HOUSE^GREGORY^^^DR^MD^^RIV", n, n, stamp)
		line("OBR|1|O%d^EPIC|F%d^LAB|24356-8^Urinalysis^LN|||%s|||||||||1234^HOUSE^GREGORY^^^DR^MD^^RIV||||||%s||LAB|F", n, n, stamp, stamp)
	}
	for i, o := range []string{"NM|8867-4^Heart rate^LN||72|/min^per minute^UCUM|60-100|N", "NM|8302-2^Body height^LN||170|cm^centimeter^UCUM||N", "NM|29463-7^Body weight^LN||68|kg^kilogram^UCUM||N"} {
		line("OBX|%d|%s|||F|||%s", i+1, o, stamp)
	}
	if event[0] != 'R' {
		line("AL1|1|DA^Drug allergy^HL70127|^PENICILLIN|MO^Moderate^HL70128|HIVES|20100101")
		line("DG1|1||Z00.00^General adult examination^I10||20260101|A")
		line("IN1|1|HMO1^Health plan^L|777|EXAMPLE HEALTH|PO BOX 1^^BOSTON^MA^02110^USA|||G%d|||||20200101||||DOE^JANE^Q|SEL^Self^HL70063|19700101|1 ELM ST^^BOSTON^MA^02110^USA", patient)
	}
	return b
}
