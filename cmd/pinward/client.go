package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// client talks HTTP over the control socket.
type client struct {
	socket string
	json   bool
	// silence is after how long without an answer a person is told why that may be; 0 is never.
	silence time.Duration
}

// answerLimit bounds what is read of an answer that is not a stream.
const answerLimit = 16 << 20

// do sends a request; the caller closes the body. A status other than 2xx is an error that says
// what the daemon said.
func (c *client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var send io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode request: %w", err)
		}
		send = bytes.NewReader(b)
	}
	return c.stream(ctx, method, path, "application/json", send)
}

// stream is do for a body that is no JSON.
func (c *client) stream(ctx context.Context, method, path, kind string, send io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://control"+path, send)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", kind)
	if token, err := os.ReadFile(sessionFile(c.socket)); err == nil {
		req.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	answered := c.explainSilence(ctx)
	resp, err := c.transport().Do(req)
	answered()
	if err != nil {
		return nil, reachError(c.socket, err)
	}
	if resp.StatusCode/100 != 2 {
		defer resp.Body.Close()
		return nil, said(resp)
	}
	return resp, nil
}

func (c *client) transport() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			d := net.Dialer{Timeout: 5 * time.Second}
			return d.DialContext(ctx, "unix", c.socket)
		},
	}}
}

// explainSilence tells a person who waits for a daemon that answers nothing at all: systemd holds the socket, so
// that what a daemon that cannot start is asked waits until it can. A daemon that works on something long answers
// others meanwhile. Whoever gave ctx a deadline tells it in their own way. The function that it returns ends the watch.
func (c *client) explainSilence(ctx context.Context) (answered func()) {
	if _, bounded := ctx.Deadline(); bounded || c.silence == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(c.silence):
		}
		asking, end := context.WithTimeout(ctx, 2*time.Second)
		defer end()
		req, err := http.NewRequestWithContext(asking, http.MethodGet, "http://control/healthz", nil)
		if err != nil {
			return
		}
		resp, err := c.transport().Do(req)
		if err == nil {
			resp.Body.Close()
		} else if ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "pinward: the daemon does not answer; systemctl status pinward.service says why. Waiting for it ...")
		}
	})
	return func() { cancel(); watch.Wait() }
}

func reachError(socket string, err error) error {
	switch {
	case errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("no daemon listens on %s: is pinward.service running? (--socket names another)", socket)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("may not open %s: are you in the group pinward-admin?", socket)
	}
	return fmt.Errorf("reach daemon: %w", err)
}

// said is the daemon's refusal in one line: problem+json (RFC 9457) or the control socket's own.
func said(resp *http.Response) error {
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	var p struct{ Error, Title, Detail, Field string }
	if json.Unmarshal(b, &p) != nil {
		return errors.New(resp.Status)
	}
	var words []string
	for _, s := range []string{p.Error, p.Title, p.Detail} {
		if s != "" {
			words = append(words, s)
		}
	}
	if p.Field != "" {
		words = append(words, "("+p.Field+")")
	}
	if after := resp.Header.Get("Retry-After"); after != "" {
		words = append(words, "try again in "+after+" s")
	}
	if len(words) == 0 {
		return errors.New(resp.Status)
	}
	return errors.New(strings.Join(words, ": "))
}

// call sends a request and decodes the answer into v, or prints it as it came where JSON is wanted.
// It reports whether the caller still has to print.
func (c *client) call(ctx context.Context, method, path string, body, v any) (show bool, err error) {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return false, err
	}
	return c.take(resp, v)
}

// upload is call for a body that is no JSON.
func (c *client) upload(ctx context.Context, path, kind string, body io.Reader, v any) (show bool, err error) {
	resp, err := c.stream(ctx, http.MethodPost, path, kind, body)
	if err != nil {
		return false, err
	}
	return c.take(resp, v)
}

func (c *client) take(resp *http.Response, v any) (show bool, err error) {
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		return false, fmt.Errorf("read answer: %w", err)
	}
	if v != nil {
		if err := json.Unmarshal(b, v); err != nil {
			return false, fmt.Errorf("decode answer: %w", err)
		}
	}
	if c.json {
		_, err := os.Stdout.Write(b)
		return false, err
	}
	return true, nil
}

// get is call for an answer that this command works on: it is never printed as it came.
func (c *client) get(ctx context.Context, method, path string, body, v any) error {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if v == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, answerLimit)).Decode(v); err != nil {
		return fmt.Errorf("decode answer: %w", err)
	}
	return nil
}

// sessionFile keeps the session that login opened, one for each daemon.
func sessionFile(socket string) string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "pinward", "session-"+strings.ReplaceAll(strings.Trim(socket, "/"), "/", "-"))
}

// listCommand is a command that prints what the daemon lists at a path, an item a line.
func listCommand[T any](c *client, use, short, path string) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var all []T
			show, err := c.call(cmd.Context(), http.MethodGet, path, nil, &all)
			if show {
				for _, one := range all {
					fmt.Println(one)
				}
			}
			return err
		},
	}
}
