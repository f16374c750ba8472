package intake

import (
	"slices"
	"strings"

	"pinward/daemon/contact"
	"pinward/hl7"
)

// person is whom a message is about, and what it says of them.
type person struct {
	id     contact.SubjectID
	cx     hl7.CX // the repetition that id is of, as it was sent
	update contact.SubjectUpdate
	// noVoice are the numbers of text telephones: whoever has one hears no call.
	noVoice []contact.Phone
	proxies *[]contact.Number // of NK1; nil where the message names nobody
	homes   bool              // PID-13 or PID-40 said something; with PID-14 alone the other numbers stay
}

// otherIDs are types of identifiers (table 0203) by which nobody is known in the whole hospital, or
// which have no business here.
var otherIDs = map[string]bool{
	"SS": true, "DL": true, "PPN": true, "MA": true, "MC": true, "AN": true, "VN": true, "NH": true,
	"BA": true, "MB": true, "ACSN": true, "EI": true, "EN": true, "TAX": true, "WC": true,
}

// identify picks the identifier that a person goes by: the medical record number before another, and
// the site's own before a foreign one.
func (rd *reading) identify(f hl7.Field) (contact.SubjectID, hl7.CX, bool) {
	best, rank := hl7.CX{}, 100
	for rep := range f.Reps() {
		cx := rep.CX()
		if r := idRank(cx, rd.site.Authority); r < rank {
			best, rank = cx, r
		}
	}
	return rd.subject(best), best, rank < 100
}

func (rd *reading) subject(cx hl7.CX) contact.SubjectID {
	id := contact.SubjectID{Authority: cx.Authority.Name(), MRN: cx.ID}
	if id.Authority == "" {
		id.Authority = rd.site.Authority
	}
	if cx.ID != "" {
		id.Authority += rd.apart
	}
	return id
}

func idRank(cx hl7.CX, site string) int {
	if cx.ID == "" || otherIDs[cx.Type] {
		return 100
	}
	rank := 6
	switch cx.Type {
	case "MR", "MRN":
		rank = 0
	case "PI":
		rank = 2
	case "":
		rank = 4
	}
	if a := cx.Authority.Name(); a != "" && a != site {
		rank++
	}
	return rank
}

// readPerson reads the first PID with PD1 and PV1: who it is and whether they died, and with whole all
// that a contact holds. PID-2 stands in for PID-3 where a feed of v2.2 has nothing else.
func (rd *reading) readPerson(whole bool) error {
	pid := rd.m.Segment("PID", 1)
	id, cx, ok := rd.identify(pid.Field(3))
	if !ok {
		id, cx, ok = rd.identify(pid.Field(2))
	}
	if !ok {
		return missing("PID", 3, "no identifier of a person")
	}
	for _, half := range []string{id.MRN, id.Authority} {
		if err := checkLength(half, "PID", 3); err != nil {
			return err
		}
	}
	rd.person.id, rd.person.cx = id, cx
	rd.person.update = contact.SubjectUpdate{ID: id, At: rd.at, Source: rd.source, Dead: readDeath(rd.m)}
	if dead := rd.person.update.Dead; dead != nil && !*dead && !strings.HasPrefix(rd.kind, "ADT^") {
		rd.person.update.Dead = nil // many a laboratory says PID-30 = N of everybody, by what it knew when it was asked
	}
	if !whole {
		return nil
	}
	u := rd.person.update
	u.Phones, rd.person.homes = rd.readPhones(pid)
	u.Language = readLanguage(pid.Field(15))
	if at, _, err := pid.Field(7).TS().Time(rd.zone); err == nil {
		year := at.Year()
		u.BornYear = &year
	}
	u.NoTexts, u.Protected, u.NoVoice = rd.readWishes(rd.m.Segment("PD1", 1))
	u.VIP = readVIP(rd.m, pid)
	if strings.HasPrefix(rd.kind, "ADT^") {
		u.Ward, u.Class = readPlace(rd.m.Segment("PV1", 1), rd.kind)
	}
	rd.person.proxies = rd.readProxies(u.BornYear)
	rd.person.update = u
	return nil
}

// firstAlone is said of a message with several patients. An appointment is kept as one patient's, by the
// sender's id of it: a second one under the same id would be found again by no later message that has them
// in another order, or without one of them.
const firstAlone = "the message names more than one patient: the first alone is served, and the others need a message of their own"

// namesOthers tells whether a PID behind the first is another patient's.
func (rd *reading) namesOthers() bool {
	for pid := range rd.m.All("PID") {
		id, _, ok := rd.identify(pid.Field(3))
		if !ok {
			id, _, ok = rd.identify(pid.Field(2))
		}
		if ok && id != rd.person.id {
			return true
		}
	}
	return false
}

// languages are what stands in PID-15 beside the two letters of ISO 639-1: three letters of 639-2, and
// the names that older feeds send.
var languages = map[string]string{
	"eng": "en", "spa": "es", "fra": "fr", "fre": "fr", "por": "pt", "zho": "zh", "chi": "zh", "vie": "vi",
	"rus": "ru", "hat": "ht", "ara": "ar", "kor": "ko", "tgl": "tl", "deu": "de", "ger": "de", "ita": "it",
	"pol": "pl", "jpn": "ja", "hin": "hi", "ben": "bn", "urd": "ur", "fas": "fa", "per": "fa",
	"english": "en", "spanish": "es", "español": "es", "french": "fr", "portuguese": "pt", "chinese": "zh",
	"vietnamese": "vi", "russian": "ru", "arabic": "ar", "korean": "ko",
}

// readLanguage gives a language tag, nil where PID-15 says nothing that is understood: a text in the
// site's language is better than none.
func readLanguage(f hl7.Field) *string {
	if f.Presence() == hl7.Null {
		return new(string)
	}
	for _, n := range []int{1, 2} {
		tag := strings.ToLower(strings.ReplaceAll(f.Comp(n).String(), "_", "-"))
		base, _, _ := strings.Cut(tag, "-")
		if known := languages[base]; known != "" {
			return &known
		}
		if len(base) == 2 && isLetters(base) && len(tag) <= 16 {
			return &tag
		}
	}
	return nil
}

func isLetters(s string) bool {
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

// expired are discharge dispositions (PV1-36, UB-92 patient status) of those who died.
var expired = []string{"20", "40", "41", "42"}

// readDeath reads PID-30, PID-29 and PV1-36 of any message; nil says nothing. A date of death counts
// even beside PID-30 = N: one text to the dead is worse than one text too few. For the same reason a death
// counts whoever tells of it, and is taken back only by who registers patients (readPerson).
func readDeath(m *hl7.Message) *bool {
	pid := m.Segment("PID", 1)
	if !pid.Exists() {
		return nil
	}
	date, flag := pid.Field(29), pid.Field(30)
	died := flag.String() == "Y" || date.Valued() ||
		slices.Contains(expired, m.Segment("PV1", 1).Field(36).Comp(1).String())
	switch {
	case died:
		return &died
	case flag.String() == "N", flag.Presence() == hl7.Null, date.Presence() == hl7.Null:
		return &died
	}
	return nil
}

// readWishes reads PD1-11 (table 0215 and the codes of the immunisation guides) and PD1-12. Who wants
// no reminder and no recall wants no texts; "no calls" still takes texts.
func (rd *reading) readWishes(pd1 hl7.Segment) (noTexts, protected, noVoice *bool) {
	publicity, protection := pd1.Field(11), pd1.Field(12)
	switch publicity.Comp(1).String() {
	case "N", "01", "08", "09", "10", "11", "12":
		noTexts = new(true)
	case "02", "04", "06":
		noTexts, noVoice = new(false), new(false)
	case "03", "05", "07":
		noTexts, noVoice = new(false), new(true)
	}
	if publicity.Presence() == hl7.Null {
		noTexts = new(false)
	}
	protect := "Y"
	if rd.sender.YesMeans == "share" || rd.sender.YesMeans == "" && rd.policy.ShareYes {
		protect = "N"
	}
	if v := protection.Comp(1).String(); v == "Y" || v == "N" || protection.Presence() == hl7.Null {
		protected = new(v == protect && rd.sender.YesMeans != "ignore")
	}
	return noTexts, protected, noVoice
}

// readVIP reads PV1-16, and PID-32 for somebody who is here under another name (table 0445): nothing
// is sent about them on our own.
func readVIP(m *hl7.Message, pid hl7.Segment) *bool {
	vip := m.Segment("PV1", 1).Field(16)
	alias := false
	for rep := range pid.Field(32).Reps() {
		alias = alias || rep.String() == "AL"
	}
	switch {
	case vip.Valued() || alias:
		return new(true)
	case vip.Presence() == hl7.Null:
		return new(false)
	}
	return nil
}
