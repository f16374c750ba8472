package admin

import (
	"context"
	"net/http"
	"testing"
	"time"

	"pinward/daemon/access"
	"pinward/daemon/contact"
	"pinward/store"
)

// TestClientModeOfWhatWaits: a client's mode holds for what it asked for before as well.
func TestClientModeOfWhatWaits(t *testing.T) {
	s, call := socket(t)
	var c access.Client
	err := s.Update(context.Background(), store.Actor{Kind: "user", ID: "tester"}, func(tx *store.Tx) (err error) {
		c, _, err = access.CreateClient(tx, "portal", []access.Role{access.Portal})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ to, want contact.Mode }{
		{contact.Live, contact.Live}, {contact.Live, contact.Live}, {contact.Shadow, contact.Shadow},
	} {
		if code, body := call("PUT", "/clients/"+c.SID+"/mode", `{"mode":"`+step.to.String()+`"}`); code != http.StatusOK {
			t.Fatalf("%d: %s", code, body)
		}
		err := s.View(context.Background(), func(tx *store.Tx) error {
			for at, want := range map[time.Time]contact.Mode{time.Now().Add(time.Hour): step.want, c.Created.Add(-time.Hour): contact.Shadow} {
				got, err := contact.ModeOf(tx, contact.OfClient(c.SID), contact.Pilot, at)
				if err != nil {
					return err
				}
				if got != want {
					t.Errorf("%s: what is due at %s goes in mode %s", step.to, at, got)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
