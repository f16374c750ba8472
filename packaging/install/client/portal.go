package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"
)

// portal is a client of the box's API.
type portal struct {
	box, handsets, token string
	web                  *http.Client
	seen                 *seen
}

// visit asks something small again and again, each time on a new connection: what it waits is what a client
// sees of a restart.
func (p portal) visit(ctx context.Context) {
	for ctx.Err() == nil {
		began := time.Now()
		status, err := p.do(http.MethodGet, p.box+"/v1/services", "", nil, nil)
		p.seen.waited(&p.seen.Longest, began)
		switch {
		case err != nil:
			p.seen.failed(err)
		case status != http.StatusOK:
			p.seen.count(&p.seen.Odd)
			p.seen.because(fmt.Sprint("visit: ", status))
		default:
			p.seen.count(&p.seen.Visits)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

var sixDigits = regexp.MustCompile(`\b[0-9]{6}\b`)

// code takes one verification from its start to its check. One that was begun is taken to its end, whatever
// becomes of ctx.
func (p portal) code(ctx context.Context, handset int) error {
	to := fmt.Sprintf("+1617555%04d", handset)
	texts := p.handsets + "/handsets/" + to + "/messages"
	var before []struct{ Text string }
	if _, err := p.do(http.MethodGet, texts, "", nil, &before); err != nil {
		return fmt.Errorf("handset: %w", err)
	}
	var v struct{ ID string }
	start := map[string]string{"service": "portal-login", "to": to, "channel": "sms"}
	if err := p.until(ctx, p.box+"/v1/verifications", fmt.Sprint("install-", handset), start, &v, http.StatusCreated); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	p.seen.count(&p.seen.Started)
	shown, began := before, time.Now()
	for end := began.Add(5 * patience); len(shown) == len(before); time.Sleep(50 * time.Millisecond) {
		if _, err := p.do(http.MethodGet, texts, "", nil, &shown); err != nil || time.Now().After(end) {
			return errors.Join(errors.New("no text"), err)
		}
	}
	p.seen.waited(&p.seen.LongestText, began)
	var checked struct{ Valid bool }
	code := map[string]string{"code": sixDigits.FindString(shown[len(before)].Text)}
	if err := p.until(context.WithoutCancel(ctx), p.box+"/v1/verifications/"+v.ID+"/check", fmt.Sprint("check-", handset), code, &checked, http.StatusOK); err != nil {
		return fmt.Errorf("check: %w", err)
	}
	if !checked.Valid {
		return fmt.Errorf("the code of verification %s is not right", v.ID)
	}
	p.seen.count(&p.seen.Right)
	return nil
}

// until posts until there is an answer. A code is right once: a check too has its key, or the second one would find nothing.
func (p portal) until(ctx context.Context, url, key string, body, out any, want int) error {
	for end := time.Now().Add(2 * patience); ; time.Sleep(100 * time.Millisecond) {
		status, err := p.do(http.MethodPost, url, key, body, out)
		switch {
		case err == nil && status == want:
			return nil
		case err == nil && status == http.StatusServiceUnavailable: // no modem is ready yet: nothing was accepted
			p.seen.count(&p.seen.Busy)
		case err == nil:
			p.seen.count(&p.seen.Odd)
			p.seen.because(fmt.Sprint(url, ": ", status))
			return fmt.Errorf("status %d", status)
		default:
			p.seen.failed(err)
		}
		if ctx.Err() != nil || time.Now().After(end) {
			return errors.Join(errors.New("no answer"), err)
		}
	}
}

func (p portal) do(method, url, key string, body, out any) (int, error) {
	var text bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&text).Encode(body); err != nil {
			return 0, err
		}
	}
	r, err := http.NewRequest(method, url, &text)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+p.token)
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	resp, err := p.web.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && out != nil && resp.StatusCode < 300 {
		err = json.Unmarshal(answer, out)
	}
	return resp.StatusCode, err
}
