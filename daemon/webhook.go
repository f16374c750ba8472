package daemon

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// WebhookTarget is one [[webhook]]: a pager, a ticket system or a monitor that is told of alarms over HTTPS. An
// attacker who controls it learns when the box is in trouble; nothing of a patient is in a request.
type WebhookTarget struct {
	// Name is what the policy calls it.
	Name string `toml:"name"`
	// Relay is the server by its name on the relay's list.
	Relay string `toml:"relay"`
	// URL is where it is posted to; its host is the name in the server's certificate.
	URL string `toml:"url"`
	// CA is the PEM file of who signed the certificate; empty means the system's.
	CA string `toml:"ca"`
	// Certificate and Key are this box's own, as PEM files, where the server asks for one.
	Certificate string `toml:"certificate"`
	Key         string `toml:"key"`
	// Secret names the systemd credential with the key that requests are signed with: "whsec_" and base64, or
	// any text. Empty means that they are not signed.
	Secret string `toml:"secret"`
}

func (w WebhookTarget) check() error {
	u, err := url.Parse(w.URL)
	switch {
	case w.Name == "" || len(w.Name) > 64:
		return errors.New("name must be set, of at most 64 bytes")
	case w.Relay == "":
		return errors.New("relay must be set: the server's name on the relay's list")
	case err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil:
		return errors.New("url must be an https address without a user")
	case w.CA != "" && !filepath.IsAbs(w.CA):
		return errors.New("ca must be an absolute path")
	case (w.Certificate == "") != (w.Key == ""):
		return errors.New("certificate and key go together")
	case w.Certificate != "" && (!filepath.IsAbs(w.Certificate) || !filepath.IsAbs(w.Key)):
		return errors.New("certificate and key must be absolute paths")
	case w.Secret != filepath.Base(w.Secret) && w.Secret != "":
		return errors.New("secret is the name of a credential, not a path")
	}
	return nil
}

// webhookPatience bounds one request.
const webhookPatience = 20 * time.Second

// post sends one request, signed as Standard Webhooks has it. The id is the same at each try, so that a
// server which has it already can tell. final says that it will not be taken however often it comes.
func (w WebhookTarget) post(ctx context.Context, out Dial, id string, body []byte) (final bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, webhookPatience)
	defer cancel()
	u, err := url.Parse(w.URL)
	if err != nil {
		return true, errors.New("its address is none")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.URL, bytes.NewReader(body))
	if err != nil {
		return true, errors.New("its address is none")
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "pinward")
	if err := w.sign(req, id, time.Now(), body); err != nil {
		return false, err
	}
	dial := dialTLS(out, w.Relay, peerTLS{Name: u.Hostname(), CA: w.CA, Certificate: w.Certificate, Key: w.Key})
	transport := &http.Transport{
		DialTLSContext:    func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableKeepAlives: true,
	}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok { // it would say the address, which may hold a key
			err = e.Err
		}
		return false, fmt.Errorf("reach it: %w", errTLS(err))
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	switch {
	case resp.StatusCode/100 == 2:
		return false, nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode/100 == 5:
		return false, fmt.Errorf("it answered %d", resp.StatusCode)
	}
	return true, fmt.Errorf("it answered %d", resp.StatusCode)
}

// sign puts webhook-id, webhook-timestamp and webhook-signature on a request.
func (w WebhookTarget) sign(req *http.Request, id string, at time.Time, body []byte) error {
	req.Header.Set("webhook-id", id)
	stamp := strconv.FormatInt(at.Unix(), 10)
	req.Header.Set("webhook-timestamp", stamp)
	if w.Secret == "" {
		return nil
	}
	key, err := webhookKey(w.Secret)
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	req.Header.Set("webhook-signature", "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return nil
}

// webhookKey reads the key each time: one that was replaced needs no restart.
func webhookKey(name string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(os.Getenv("CREDENTIALS_DIRECTORY"), name))
	text := strings.TrimSpace(string(b))
	if err != nil || text == "" {
		return nil, errors.New("the credential with its secret cannot be read")
	}
	if encoded, ok := strings.CutPrefix(text, "whsec_"); ok {
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, errors.New("its secret is no base64 behind whsec_")
		}
		return key, nil
	}
	return []byte(text), nil
}
