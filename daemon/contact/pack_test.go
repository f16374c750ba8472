package contact

import (
	"testing"
	"time"

	"pinward/store/storetest"
)

func TestPacked(t *testing.T) {
	to, err := ParsePhone("+16175551234", Plan{})
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int) time.Time { return time.Date(2026, 1, 2, 3, 4, 5, n, time.UTC) }
	moment := at(1)
	id := SubjectID{Authority: "RIV", MRN: "4711"}
	storetest.Packing(t, id, "010303524956050434373131", subjectIDFields)
	storetest.Packing(t, AppointmentID{Authority: "EPIC", Number: "F1"}, "0103044550494305024631", appointmentIDFields)
	storetest.Packing(t, Subject{
		ID: id, Phones: []Number{{Phone: to, Use: "PRN", Equipment: "CP", Rank: 1, Type: LineMobile, Source: "hl7:adt", Extension: "12", Proxy: "MTH", Business: true, Since: at(2), Verified: at(3)}},
		Language: "es", BornYear: 1970, Dead: &moment, NoTexts: true, Unwanted: true, Protected: true, NoVoice: true, VIP: true, Ward: "3W", Class: "I", Confidential: true,
		AsOf: at(4), DeadAsOf: at(5), Removed: &moment, MergedInto: &id, MergedAsOf: at(6),
		Earlier: []earlier{{tellsUnwanted, at(7)}}, Feeds: []string{"hl7:adt"},
	}, "01030b03035249560504343731310545030c2b3136313735353531323334050350524e0702435008020b066d6f62696c650d07686c373a6164740f06cad6b9950d021106cad6b9950d031302313215034d544816020702657308e41e0b080306cad6b9950d010c020e02100212021506cad6b9950d041706cad6b9950d0519080306cad6b9950d011b0b03035249560504343731311d06cad6b9950d061f023357210149230a02080506cad6b9950d072402260229090307686c373a616474", subjectFields)
	storetest.Packing(t, Appointment{
		ID: AppointmentID{Authority: "EPIC", Number: "F1"}, Subject: id, Start: at(1), Minutes: 30, SiteName: "Main Street",
		Status: Booked, AsOf: at(2), Version: 2, Video: true, Key: "appointment/00",
	}, "01030a03044550494305024631050b03035249560504343731310706cad6b9950d01083c0b0b4d61696e205374726565740d06626f6f6b65640f06cad6b9950d021004130e6170706f696e746d656e742f30301402", appointmentFields)
}
