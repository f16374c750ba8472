package daemon

import (
	"errors"
	"testing"
	"time"

	"pinward/daemon/contact"
	"pinward/daemon/otp"
	"pinward/daemon/outbox"
	"pinward/store"
)

// A code that finds an idle modem is given to it by the transaction of its start: the modem renders it
// in a View, beside the writer, and Next takes no part.
func TestFlowClaimCarriesACode(t *testing.T) {
	inFlow(t, 1, func(f *flow) {
		render := sources[otp.Kind]
		defer func() { sources[otp.Kind] = render }()
		var beside []bool // whether each rendering was in a View
		sources[otp.Kind] = func(tx *store.Tx, m outbox.Message) (outbox.Rendered, error) {
			beside = append(beside, errors.Is(contact.Used(tx, m.To, ""), store.ErrReadOnly))
			return render(tx, m)
		}
		v, err := f.start()
		f.must(err)
		if m := f.message(v); m.State != outbox.Sending || len(m.Attempts) != 1 || m.Attempts[0].Sender != "m1" {
			t.Fatalf("the start left its code %s, with %d attempts", m.State, len(m.Attempts))
		}
		if got := f.texts(1, 5*time.Second); !f.check(v.ID, code(got[0])) {
			t.Error("its code was not accepted")
		}
		if len(beside) != 1 || !beside[0] {
			t.Errorf("renderings in a View: %v, want one", beside)
		}
	})
}
