package notice

import (
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/outbox"
	"pinward/daemon/text"
	"pinward/store/storetest"
)

func TestPackedNotice(t *testing.T) {
	to, err := contact.ParsePhone("+16175551234", contact.Plan{})
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int) time.Time { return time.Date(2026, 1, 2, 3, 4, 5, n, time.UTC) }
	storetest.Packing(t, Notice{
		ID: "SM01", Template: "appointment.reminder", Lang: "es", Class: text.Care, To: to, Follow: true,
		Subject: contact.SubjectID{Authority: "RIV", MRN: "4711"}, Slots: text.Slots{"site": "Riverside", "start": "x"},
		At: at(1), Expires: at(2), Urgent: true, Group: "group", Key: "24h", Lane: outbox.Notice, Client: "AC", OnBehalfOf: "JDOE", Order: "req1", Dropped: true, Once: true, Door: []byte(`{"a":1}`),
		Staff: true, Requested: true, Mode: contact.Live, From: "hl7:a", Created: at(3), Message: "SM02", Canceled: at(4), Cause: "cause",
		Answer: "yes", Answered: at(5), Voice: true, Tried: 2, Hours: Hours{"08:00", "20:00"}, Place: "Elm", Call: true,
	}, "010304534d303105146170706f696e746d656e742e72656d696e646572070265730904636172650b0c2b31363137353535313233340c020f0b030352495605043437313111110304736974650509526976657273696465110a030573746172740501781306cad6b9950d011506cad6b9950d021602190567726f75701b033234681c041f02414321044a444f452202240226042906cad6b9950d032b04534d30322d06cad6b9950d042f05636175736531037965733306cad6b9950d05350472657131360238023b077b2261223a317d3c023e04410530383a3030430532303a30304503456c6d4705686c373a614802", noticeFields)
}
