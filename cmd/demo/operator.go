package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// operator is a person at the control socket, as `pinward` is: the demo sets its box up by the same
// requests that a hospital's operator makes.
type operator struct{ http *http.Client }

func newOperator(socket string) operator {
	return operator{&http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}}
}

// call sends one request and decodes the answer; any status but 2xx is an error.
func (o operator) call(ctx context.Context, method, path string, body, answer any) error {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, send)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := o.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<12))
		return fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, bytes.TrimSpace(text))
	}
	if answer == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(answer)
}

// status is the part of the daemon's status that the demo looks at.
type status struct {
	State, Cause, Signer string
	Accepts              bool
	Modems               map[string]struct{ Ready bool }
}

// until asks for the status until it is as wanted; an answer that fails is asked for again, because
// at first the socket is not there.
func (o operator) until(ctx context.Context, wanted func(status) (bool, error)) (status, error) {
	for {
		var st status
		err := o.call(ctx, http.MethodGet, "/status", nil, &st)
		if err == nil {
			done, err := wanted(st)
			if done || err != nil {
				return st, err
			}
		}
		select {
		case <-ctx.Done():
			return st, errors.Join(context.Cause(ctx), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (o operator) waitOpen(ctx context.Context) error {
	_, err := o.until(ctx, func(st status) (bool, error) {
		if st.State == "sealed" {
			return false, fmt.Errorf("the box is sealed: %s", st.Cause)
		}
		return st.State == "open", nil
	})
	return err
}

// waitReady waits until all modems are registered and a start would be accepted.
func (o operator) waitReady(ctx context.Context, modems int) (status, error) {
	return o.until(ctx, func(st status) (bool, error) {
		ready := 0
		for _, m := range st.Modems {
			if m.Ready {
				ready++
			}
		}
		return ready == modems && st.Accepts, nil
	})
}

// permit puts the simulated SIMs on record: they may carry everything, and have no budgets.
func (d *demo) permit(ctx context.Context, op operator) error {
	for _, iccid := range d.sims {
		sim := map[string]any{
			"iccid": iccid, "owner": "demo", "permission": map[string]any{"reference": "demo"},
			"per_minute": -1, "per_day": -1, "port_out_lock": true,
		}
		if err := op.call(ctx, http.MethodPut, "/sims", sim, nil); err != nil {
			return err
		}
	}
	return nil
}

// serviceName is the service in demo.json: six digits, valid for its whole life of five minutes.
const serviceName = "patient-signup"

// accounts are the demo's client and person. The box keeps only hashes, so the demo keeps them.
type accounts struct{ Account, Secret, Token, Service, User, Password string }

// accounts takes those of an earlier run in the same folder, or makes them. If we crash between
// making and keeping, the next run makes others: demo.json had not promised these to anybody.
func (d *demo) accounts(ctx context.Context, op operator) (accounts, error) {
	path := filepath.Join(d.dir, "accounts.json")
	var acc accounts
	if b, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(b, &acc); err != nil {
			return acc, fmt.Errorf("read accounts: %w", err)
		}
		return acc, nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return acc, fmt.Errorf("read accounts: %w", err)
	}
	// Reminders may go out at any hour: who tries the demo at night wants to see them.
	site := map[string]any{
		"name": "Demo Hospital", "brand": "Demo Hospital", "zone": d.zone, "region": "US", "area": "617",
		"help_phone": "617-555-0100", "authority": "DEMO", "mode": "live", "languages": []string{"en", "es"}, "link_hosts": []string{"portal.example.org"},
	}
	if err := op.call(ctx, http.MethodPut, "/site", site, nil); err != nil {
		return acc, err
	}
	// The limits of a client and of traffic as a whole are wide open here; those of a number are as shipped.
	wide := map[string]any{"max": 0, "reserve": 0}
	limits := map[string]any{"client": wide, "actor": wide, "end_user": wide, "prefix": wide}
	if err := op.call(ctx, http.MethodPut, "/limits", limits, nil); err != nil {
		return acc, err
	}
	// Who tries how fast it is floods it: no breaker here.
	results := map[string]any{"releasable": []string{"*"}, "portal": "https://portal.example.org/", "breaker_floor": 1 << 30}
	if err := op.call(ctx, http.MethodPut, "/hl7/policy", results, nil); err != nil {
		return acc, err
	}
	client := map[string]any{"name": "demo portal", "mode": "live", "scopes": []string{"portal", "nurse", "engine"}}
	if err := op.call(ctx, http.MethodPost, "/clients", client, &acc); err != nil {
		return acc, err
	}
	acc.User, acc.Password = "demo", rand.Text()
	user := map[string]any{"name": acc.User, "password": acc.Password, "roles": []string{"admin", "auditor", "operator", "nurse"}}
	if err := op.call(ctx, http.MethodPost, "/users", user, nil); err != nil {
		return acc, err
	}
	var services []struct{ SID, Name string }
	if err := op.call(ctx, http.MethodGet, "/v1/services", nil, &services); err != nil {
		return acc, err
	}
	for _, s := range services {
		if s.Name == serviceName {
			acc.Service = s.SID
		}
	}
	if acc.Service == "" {
		return acc, errors.New("the box ships no service " + serviceName)
	}
	return acc, writeJSON(path, acc)
}
