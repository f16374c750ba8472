package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"
)

// account is what a client of the API has.
type account struct{ Account, Secret, Token string }

// commission takes an empty box to live: first person, site, a client without limits of its own.
// Limits of a number stay as shipped. It returns what set-up printed.
func (w *world) commission() (acc account, printed string, err error) {
	printed, err = w.pinward(adminPassword+"\n", "setup", "--name", "Test Hospital", "--brand", "Riverside",
		"--zone", daytime(), "--authority", "HOSP", "--help-phone", "617-555-1000", "--area", "617", "--mode", "live", "--override", "a test of the whole program",
		"--holder", "Ann", "--holder", "Bo", "--holder", "Cy", "--kit", w.path("kit"))
	if err != nil {
		return acc, printed, err
	}
	token, err := w.login()
	if err != nil {
		return acc, printed, err
	}
	wide := map[string]any{"max": 0, "reserve": 0}
	limits := map[string]any{"client": wide, "actor": wide, "end_user": wide, "prefix": wide}
	if err := call(w.control(), token, http.MethodPut, "http://control/limits", limits, nil); err != nil {
		return acc, printed, err
	}
	client := map[string]any{"name": "portal", "mode": "live", "scopes": []string{"portal", "engine"}}
	if err := call(w.control(), token, http.MethodPost, "http://control/clients", client, &acc); err != nil {
		return acc, printed, err
	}
	return acc, printed, w.goLive(token, acc.Account)
}

// daytime is a time zone in which it is noon: where it is night a box tests its SIMs, and a test that
// slows the network down or counts texts would meet that test's text on air.
func daytime() string { return fmt.Sprintf("Etc/GMT%+d", time.Now().UTC().Hour()-12) }

// goLive makes a second person known, who agrees that the HL7 listener and a client go live.
func (w *world) goLive(token, client string) error {
	second := map[string]any{"name": "second", "password": adminPassword, "roles": []string{"admin"}}
	if err := call(w.control(), token, http.MethodPost, "http://control/users", second, nil); err != nil {
		return err
	}
	other, err := w.loginAs("second")
	if err != nil {
		return err
	}
	live := map[string]any{"mode": "live"}
	if err := call(w.control(), other, http.MethodPut, "http://control/clients/"+client+"/mode", live, nil); err != nil {
		return err
	}
	for _, who := range []string{token, other} {
		live := map[string]any{"listener": "mllp", "live": true}
		if err := call(w.control(), who, http.MethodPost, "http://control/hl7/live", live, nil); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) login() (token string, err error) { return w.loginAs("admin") }

func (w *world) loginAs(user string) (token string, err error) {
	var s struct{ Token string }
	who := map[string]string{"user": user, "password": adminPassword}
	err = call(w.control(), "", http.MethodPost, "http://control/login", who, &s)
	return s.Token, err
}

// awaitReady waits until the box is open and all its modems can send.
func (w *world) awaitReady() error {
	return w.await(theBox, func() bool {
		st, err := w.status()
		return err == nil && st.State == "open" && st.ready() == w.modems && st.Accepts
	})
}

// text is what a handset shows.
type text struct{ Text, From, Modem string }

// texts lists what the handset of a number shows, oldest first.
func (w *world) texts(number string) (list []text, err error) {
	err = call(http.DefaultClient, "", http.MethodGet, "http://"+w.phones+"/handsets/"+url.PathEscape(number)+"/messages", nil, &list)
	return list, err
}

// awaitTexts waits until the handset shows n texts.
func (w *world) awaitTexts(number string, n int) (list []text, err error) {
	e := w.await(theNetwork, func() bool {
		list, err = w.texts(number)
		return err == nil && len(list) >= n
	})
	return list, errors.Join(e, err)
}

// whole starts TPM, network and daemon, and commissions the box.
func whole(t *testing.T, modems int) (*world, account) {
	t.Helper()
	w := empty(t, modems)
	must(t, w.start(theBox))
	acc, _, err := w.commission()
	must(t, err)
	must(t, w.awaitReady())
	must(t, w.permit())
	return w, acc
}

// permit puts the SIMs on record, with permission to carry all lanes and without caps.
func (w *world) permit() error {
	token, err := w.login()
	if err != nil {
		return err
	}
	for i := range w.modems {
		sim := map[string]any{"permission": map[string]any{"reference": "test"}, "per_minute": -1, "per_day": -1, "port_out_lock": true}
		if err := call(w.control(), token, http.MethodPut, fmt.Sprintf("http://control/modems/modem%d/sim", i+1), sim, nil); err != nil {
			return err
		}
	}
	return nil
}

// empty starts TPM and network of a new world, and ends all of it with the test.
func empty(t *testing.T, modems int) *world {
	t.Helper()
	// Not t.TempDir: its path can be longer than the 108 bytes that the name of a socket may have.
	dir, err := os.MkdirTemp("", "pinward")
	must(t, err)
	w, err := newWorld(dir, modems)
	must(t, err)
	t.Cleanup(func() {
		w.close()
		for _, sign := range []string{"DATA RACE", "panic", "level=ERROR msg=\"http: "} {
			if strings.Contains(w.log(theBox), sign) {
				t.Errorf("the daemon's log holds %q", sign)
			}
		}
		if t.Failed() {
			t.Logf("the daemon's log:\n%s", w.log(theBox))
		}
		must(t, os.RemoveAll(dir))
	})
	must(t, w.start(theTPM))
	must(t, w.start(theNetwork))
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
