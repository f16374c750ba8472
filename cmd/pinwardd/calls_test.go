package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

// control is the daemon's control socket as an HTTP client.
func (w *world) control() *http.Client {
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", w.path("control"))
		},
	}}
}

// boxStatus is what these tests look at of the daemon's status.
type boxStatus struct {
	State, Cause, Next, Signer string
	Accepts                    bool
	Entries                    uint64
	Modems                     map[string]struct{ Ready bool }
}

func (s boxStatus) ready() int {
	n := 0
	for _, m := range s.Modems {
		if m.Ready {
			n++
		}
	}
	return n
}

func (w *world) status() (st boxStatus, err error) {
	err = call(w.control(), "", http.MethodGet, "http://control/status", nil, &st)
	return st, err
}

// statusError is an answer that is no success.
type statusError struct {
	code int
	body string
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d: %s", e.code, e.body) }

// call sends a request with a JSON body and decodes the answer into v.
func call(c *http.Client, token, method, url string, body, v any, header ...string) error {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		send = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, url, send)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return &statusError{resp.StatusCode, string(b)}
	}
	if v == nil {
		return nil
	}
	return json.Unmarshal(b, v)
}

// web is an HTTPS client that trusts this world's certificate alone.
func (w *world) web() (*http.Client, error) {
	pemBytes, err := os.ReadFile(w.path("cert.pem"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pemBytes)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 8,
	}}, nil
}

// pinward runs the operator's command.
func (w *world) pinward(stdin string, args ...string) (string, error) {
	cmd := exec.Command("pinward", append([]string{"--socket", w.path("control")}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "HOME="+w.dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("pinward %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}
